"""On PostgreSQL a check that ends nothing writes no index: its row finds room on the page where it is."""

import asyncio

import pytest
import sqlalchemy as sa

from tests.support.service import NO_LIMITS, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

COUNTS = sa.text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'verifications'")
VERIFICATIONS = 80


async def updates(service: Service, least: int) -> tuple[int, int]:
    """(updates of verifications, those without an index), once there were so many: connections tell them in time."""
    async with asyncio.timeout(30):
        while True:
            row = await service.ctx.database.read(lambda tx: tx.execute(COUNTS).one())
            if row[0] >= least:
                return row[0], row[1]
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_wrong_check_writes_no_index(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        started = [await service.api.start(new_number()) for _ in range(VERIFICATIONS)]
        before, hot_before = await updates(service, VERIFICATIONS)
        for each in started:
            assert await service.api.check(each["id"], wrong(service.pin(each["to"]))) == "incorrect"
        after, hot_after = await updates(service, 3 * VERIFICATIONS)
        assert after - before == 2 * VERIFICATIONS
        assert hot_after - hot_before >= 0.95 * (after - before)
