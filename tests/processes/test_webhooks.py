"""Two servers that are killed again and again: each event arrives at least once, and none is invented."""

import asyncio
import secrets
from contextlib import ExitStack

import httpx
import pytest
import sqlalchemy as sa

from otp_service.database.engine import Database
from otp_service.storage.tables import webhook_deliveries
from tests.support.api_keys import new_key
from tests.support.fleet import Fleet, all_over, post_all, statuses
from tests.support.patience import until
from tests.support.processes import service_settings
from tests.support.receivers import LOOPBACK, add, receiving
from tests.support.service import Api, new_number
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

COUNT = 1000
KILLS = 4


async def test_no_kill_loses_an_event_and_none_is_invented(database_url: str, vendor: Vendor) -> None:
    seed = secrets.randbelow(10**6)
    numbers = [new_number() for _ in range(COUNT)]
    key = await new_key(database_url, "app")
    with receiving() as receiver, ExitStack() as stack:
        fleet = Fleet(service_settings(database_url, vendor, OTP_WEBHOOK_NETWORKS=LOOPBACK), stack)
        fleet.start()
        async with httpx.AsyncClient(timeout=15, trust_env=False, base_url=fleet.servers[0].url) as client:
            await add(Api(client, key), receiver.url, "notification.*")
        await asyncio.gather(post_all(fleet, key, numbers), fleet.suffer(seed, KILLS, 2.0))
        await all_over(database_url)
        await all_delivered(database_url)
    sent = {to for to, status in await statuses(database_url) if status == "sent"}
    assert len(sent) > COUNT / 2
    arrived = {event.data["reference"] for event in receiver.events if event.type == "notification.sent"}
    assert arrived == sent, f"seed {seed}"
    by_id = {event.id: event.body for event in receiver.events}
    assert len(by_id) == len(sent), f"seed {seed}: every try of an event has its id"


async def all_delivered(database_url: str) -> None:
    """Waits until every event has arrived."""
    database = Database(database_url)
    waiting = sa.select(sa.exists().where(webhook_deliveries.c.status != "delivered"))

    async def over() -> bool:
        return not await database.read(lambda tx: tx.scalar(waiting))

    try:
        await until(over)
    finally:
        database.close()
