"""A check that ends nothing writes no index of verifications."""

import asyncio

import pytest
import sqlalchemy as sa

from tests.support.patience import PATIENCE
from tests.support.service import NO_LIMITS, Service, new_number, serving, wrong
from tests.support.statements import told
from tests.support.vendor import Vendor

COUNTS = sa.text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'verifications'")
VERIFICATIONS = 80


async def updates(service: Service, least: int) -> tuple[int, int]:
    """(updates of verifications, those without an index), once there were so many: connections tell them in time."""
    async with asyncio.timeout(PATIENCE):
        while True:
            row = await service.ctx.database.read(lambda tx: tx.execute(COUNTS).one())
            if row[0] >= least:
                return row[0], row[1]
            await asyncio.sleep(0.05)


@pytest.mark.long
async def test_on_postgresql_the_row_finds_room_on_the_page_where_it_is(new_postgres: str, vendor: Vendor) -> None:
    async with serving(new_postgres, vendor, {"limits": NO_LIMITS}) as service:
        started = [await service.api.start(new_number()) for _ in range(VERIFICATIONS)]
        before, hot_before = await updates(service, VERIFICATIONS)
        for each in started:
            assert await service.api.check(each["id"], wrong(service.pin(each["to"]))) == "incorrect"
        after, hot_after = await updates(service, 3 * VERIFICATIONS)
        assert after - before == 2 * VERIFICATIONS
        assert hot_after - hot_before >= 0.95 * (after - before)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_on_sqlite_the_statements_touch_no_indexed_column(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        started = await service.api.start()
        ran: list[str] = []
        with told(service.ctx.database.engine, lambda statement, _: ran.append(statement)):
            assert await service.api.check(started["id"], wrong(service.pin(started["to"]))) == "incorrect"
        updates = [statement for statement in ran if statement.startswith("UPDATE verifications")]
        assert len(updates) == 2

        def opcodes(tx: sa.Connection) -> list[set[str]]:
            cursor = tx.connection.cursor()
            return [{str(line[1]) for line in cursor.execute(f"EXPLAIN {each}").fetchall()} for each in updates]

        for found in await service.ctx.database.read(opcodes):
            assert "Insert" in found
            assert not found & {"IdxInsert", "IdxDelete"}
