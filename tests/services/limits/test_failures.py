"""The failure budget of a number: it goes on over resends and verifications, waits, and is cleared by an approval."""

import asyncio
from typing import Any

import pytest

from tests.support.service import AT_ONCE, NO_LIMITS, Api, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

FEW = {"free": 4, "first_wait": 50, "longest_wait": 150, "lock_after": 8, "lock_for": 5000}


def config(**more: Any) -> dict[str, Any]:
    return {"limits": {**NO_LIMITS, "failures_per_number": FEW}, "purposes": {"signup": {**AT_ONCE, **more}}}


async def wrong_checks(service: Service, api: Api, to: str, count: int) -> dict[str, Any]:
    """A new verification of a number with so many wrong checks."""
    started = await api.start(to)
    for _ in range(count):
        assert await api.check(started["id"], wrong(service.pin(to))) == "incorrect"
    return started


async def test_new_verifications_and_resends_give_no_new_guesses(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(attempts=50)) as service:
        to = new_number()
        started = await wrong_checks(service, service.api, to, 2)
        assert (await service.api.resend(started["id"])).status_code == 200
        assert await service.api.check(started["id"], wrong(service.pin(to))) == "incorrect"
        await service.api.cancel(started["id"])
        started = await wrong_checks(service, service.api, to, 1)
        answer = (await service.api.try_check(started["id"], service.pin(to))).json()
        assert answer["result"] == "locked"
        assert answer["retry_at"] > answer["verification"]["created_at"]
        assert answer["verification"]["attempts_left"] == 49


@pytest.mark.both_databases
async def test_waits_double_up_to_the_longest_and_then_lock(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(attempts=50, lifetime=600)) as service:
        to = new_number()
        started = await wrong_checks(service, service.api, to, 4)
        pin = service.pin(to)
        for wait in (50, 100, 150, 150):
            service.shift(wait - 20)
            assert await service.api.check(started["id"], pin) == "locked"
            service.shift(20.1)
            assert await service.api.check(started["id"], wrong(pin)) == "incorrect"
        service.shift(4000)
        refused = await service.api.try_start(to)
        assert (refused.status_code, refused.json()["limit"]) == (429, "failures_per_number")
        service.shift(1001)
        again = await service.api.start(to)
        assert await service.api.check(again["id"], service.pin(to)) == "approved"


async def test_a_locked_number_gets_no_message_and_says_until_when(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        to = new_number()
        started = await wrong_checks(service, service.api, to, 4)
        sent = len(vendor.messages(to))
        resent = await service.api.resend(started["id"])
        assert (resent.status_code, resent.json()["limit"]) == (429, "failures_per_number")
        assert 0 < int(resent.headers["retry-after"]) <= 50
        await service.api.cancel(started["id"])
        assert (await service.api.try_start(to)).status_code == 429
        assert len(vendor.messages(to)) == sent
        service.shift(51)
        assert (await service.api.start(to))["status"] == "pending"


@pytest.mark.both_databases
async def test_an_approval_clears_the_count_of_that_client_and_purpose_alone(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        to, other = new_number(), await service.client("other")
        started = await wrong_checks(service, service.api, to, 3)
        theirs = await wrong_checks(service, other, to, 3)
        # Newest first: the other client's PIN, then ours.
        pins = [message["pin"] for message in vendor.messages(to)]
        assert await service.api.check(started["id"], pins[1]) == "approved"
        await wrong_checks(service, service.api, to, 3)
        login = await service.api.start(to, purpose="login")
        assert await service.api.check(login["id"], wrong(service.pin(to))) == "incorrect"
        assert await other.check(theirs["id"], wrong(pins[0])) == "incorrect"
        assert await other.check(theirs["id"], pins[0]) == "locked"


@pytest.mark.both_databases
async def test_the_tenth_check_counts_when_many_come_at_once(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(attempts=50)) as service:
        started = await service.api.start()
        pin = service.pin(started["to"])
        found = await asyncio.gather(*(service.api.check(started["id"], wrong(pin)) for _ in range(20)))
        assert sorted(found) == ["incorrect"] * 4 + ["locked"] * 16
        assert (await service.api.read(started["id"]))["attempts_left"] == 46
