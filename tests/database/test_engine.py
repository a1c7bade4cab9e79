"""A transaction that the database gave up on is repeated; one whose commit is in doubt never is."""

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.engine import Database, make_engine
from otp_service.errors import Unavailable
from otp_service.storage.tables import clients
from tests.support.service import Service

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
