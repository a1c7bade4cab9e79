"""A transaction that the database gave up on is repeated; one whose commit is in doubt never is."""

from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.engine import Database, make_engine
from otp_service.errors import Unavailable
from otp_service.storage.tables import clients
from tests.support.service import Service

pytestmark = pytest.mark.both_databases

HANG_UP = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def hang_up(url: str) -> None:
    """The server ends every other connection of the database."""
    engine = make_engine(url)
    with engine.begin() as tx:
        tx.execute(HANG_UP)
    engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_connections_that_the_server_ended_cost_no_request(service: Service, database_url: str) -> None:
    await service.api.start()
    hang_up(database_url)
    started = await service.api.start()
    assert started["delivery"]["status"] == "sent"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_commit_of_unknown_outcome_is_not_repeated(database_url: str) -> None:
    database = Database(database_url)
    tries = []

    def work(tx: Connection) -> None:
        tries.append(1)
        tx.execute(sa.insert(clients).values(id="c", name="c", created_at=0.0))
        hang_up(database_url)

    with pytest.raises(Unavailable):
        await database.write(work)
    assert tries == [1]
    database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_of_several_hosts_the_one_that_accepts_writes_is_used(database_url: str) -> None:
    url = sa.make_url(database_url)
    host = quote(str(url.query.get("host") or url.host), safe="")
    port = url.port or url.query.get("port", "")
    several = f"postgresql://{url.username}@127.0.0.1:1,{host}:{port}/{url.database}?target_session_attrs=read-write"
    database = Database(several)
    assert await database.write(lambda tx: tx.scalar(sa.text("SELECT 7"))) == 7
    database.close()


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://u:p%2C@h1:1,h2:2/db?target_session_attrs=read-write", "h1,h2", "1,2"),
        ("postgresql://h1,[::1]:5432/db", "h1,::1", ",5432"),
    ],
)
def test_several_hosts_become_the_drivers_parameters(url: str, host: str, port: str) -> None:
    engine = make_engine(url)
    given = engine.dialect.create_connect_args(engine.url)[1]
    assert (given["host"], given["port"], given["dbname"]) == (host, port, "db")
