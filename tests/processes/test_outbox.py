"""Two servers that are killed again and again: a notification is sent once, or nobody knows and it is not repeated."""

import asyncio
import secrets
from collections import Counter
from contextlib import ExitStack

import pytest

from otp_service.services.notifications.outbox import CONCURRENCY
from tests.support.api_keys import new_key
from tests.support.fleet import Fleet, all_over, count_abandoned, delivered, post_all, statuses, text_to
from tests.support.processes import service_settings
from tests.support.service import new_number
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

COUNT = 1000
KILLS = 3


async def test_no_kill_loses_a_notification_or_sends_one_twice(database_url: str, vendor: Vendor) -> None:
    seed = secrets.randbelow(10**6)
    numbers = [new_number() for _ in range(COUNT)]
    key = await new_key(database_url, "app")
    vendor.fail("sms", "slow", times=None, seconds=0.1)
    with ExitStack() as stack:
        fleet = Fleet(service_settings(database_url, vendor, OTP_OGANGI_TIMEOUT="5"), stack)
        fleet.start()
        await asyncio.gather(post_all(fleet, key, numbers), fleet.suffer(seed, KILLS, 1.2))
        await all_over(database_url)
    came, ended = delivered(vendor), await statuses(database_url)
    assert sorted(to for to, _ in ended) == sorted(numbers), f"seed {seed}"
    found = Counter((status, came[text_to(to)]) for to, status in ended)
    assert set(found) <= {("sent", 1), ("unknown", 1), ("unknown", 0)}, f"seed {seed}: {found}"
    assert await count_abandoned(database_url) <= KILLS * CONCURRENCY, f"seed {seed}: {found}"


async def test_a_server_that_is_asked_to_stop_knows_of_all_it_sent(migrated: str, vendor: Vendor) -> None:
    numbers = [new_number() for _ in range(100)]
    key = await new_key(migrated, "app")
    with ExitStack() as stack:
        fleet = Fleet(service_settings(migrated, vendor), stack)
        fleet.start()
        vendor.fail("sms", "slow", times=None, seconds=1)
        await post_all(fleet, key, numbers)
        assert [server.stop() for server in fleet.servers] == [0, 0]
    found, came = Counter(status for _, status in await statuses(migrated)), delivered(vendor)
    assert set(found) <= {"queued", "sent"}
    assert found["sent"] == sum(came[text_to(to)] for to in numbers)
