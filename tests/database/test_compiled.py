"""Statements that go past SQLAlchemy's execution: the same rows, and the same errors."""

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from otp_service.database.compiled import Compiled
from otp_service.database.engine import Database
from otp_service.errors import Unavailable
from otp_service.storage.tables import clients
from tests.database.test_engine import hang_up

pytestmark = pytest.mark.both_databases

_ADD = Compiled(
    lambda _: (
        sa.insert(clients)
        .values(id=sa.bindparam("this", type_=sa.Text), name="name", created_at=sa.bindparam("now", type_=sa.Double))
        .returning(clients.c.id, clients.c.name, clients.c.created_at, clients.c.revoked_at.label("revoked"))
    )
)
_FORGET = Compiled(lambda _: sa.delete(clients).where(clients.c.id == sa.bindparam("this", type_=sa.Text)))

_EVERY = Compiled(lambda _: sa.select(clients.c.id, clients.c.name))


async def test_a_row_has_the_names_of_the_statement(database_url: str) -> None:
    database = Database(database_url)
    row = await database.write(lambda tx: _ADD.first(tx, {"this": "c", "now": 1.5}))
    assert (row.id, row.name, row.created_at, row.revoked) == ("c", "name", 1.5, None)
    assert await database.write(lambda tx: _EVERY.all(tx, {})) == [("c", "name")]
    await database.write(lambda tx: _FORGET.run(tx, {"this": "c"}))
    assert await database.write(lambda tx: _EVERY.first(tx, {})) is None
    assert await database.read(lambda tx: tx.scalar(sa.select(sa.func.count()).select_from(clients))) == 0
    database.close()


async def test_an_error_is_sqlalchemys_and_undoes_the_transaction(database_url: str) -> None:
    def twice(tx: Connection) -> None:
        for _ in range(2):
            _ADD.first(tx, {"this": "c", "now": 1.5})

    database = Database(database_url)
    with pytest.raises(IntegrityError) as raised:
        await database.write(twice)
    assert "name" not in str(raised.value.params)
    assert (await database.write(lambda tx: _ADD.first(tx, {"this": "c", "now": 2.0}))).created_at == 2.0
    database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("one_statement", [False, True])
async def test_a_connection_lost_in_the_middle_is_unavailable_and_leaves_the_pool(
    database_url: str, one_statement: bool
) -> None:
    database, tries = Database(database_url), []

    def work(tx: Connection) -> None:
        tries.append(1)
        hang_up(database_url)
        _ADD.first(tx, {"this": "c", "now": 1.5})

    with pytest.raises(Unavailable):
        await database.write(work, one_statement=one_statement)
    assert len(tries) == (1 if one_statement else 3), "one statement may have been carried out: it is not repeated"
    await database.write(lambda tx: _ADD.first(tx, {"this": "d", "now": 1.5}), one_statement=True)
    database.close()
