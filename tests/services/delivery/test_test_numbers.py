"""Test numbers: nothing is sent to them, their PIN is fixed, and everything else is as always."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from otp_service.services.context import Context
from otp_service.services.delivery import test_numbers
from otp_service.services.notifications import outbox
from tests.support.notifications import get, post
from tests.support.receivers import LOOPBACK, add, post_due, receiving
from tests.support.service import NO_LIMITS, new_number, serving
from tests.support.vendor import Vendor

NUMBER, PIN = "+15005550006", "424242"
LATER = datetime.now(UTC).date() + timedelta(days=10)
MIDNIGHT = datetime.combine(LATER + timedelta(days=1), datetime.min.time(), UTC).timestamp()


def config(**more: Any) -> dict[str, Any]:
    return {"test_numbers": {NUMBER: {"pin": PIN, "until": LATER}}, **more}


async def test_nothing_is_sent_and_the_fixed_pin_is_approved(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(), countries="CO") as service:
        before = vendor.messages()
        started = await service.api.start(NUMBER)
        assert started["to"] == NUMBER
        assert (started["delivery"]["status"], started["delivery"]["route"]) == ("sent", "test")
        assert await service.api.check(started["id"], "424243") == "incorrect"
        assert await service.api.check(started["id"], PIN, to=NUMBER) == "approved"
        sends = [event for event in await service.api.events(started["id"]) if event["type"] == "send"]
        assert [(send["route"], send["result"], send["detail"]) for send in sends] == [
            ("test", "accepted", "test_number")
        ]
        assert vendor.messages() == before


async def test_a_resend_has_the_same_pin_and_attempts_stay_spent(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(limits=NO_LIMITS)) as service:
        started = await service.api.start(NUMBER)
        assert await service.api.check(started["id"], "000000") == "incorrect"
        service.shift(31)
        resent = (await service.api.resend(started["id"])).json()
        assert (resent["attempts_left"], resent["delivery"]["route"]) == (4, "test")
        for _ in range(4):
            await service.api.check(started["id"], "000000")
        assert await service.api.check(started["id"], PIN) == "exhausted"


async def test_the_limits_of_a_test_number_are_those_of_any_number(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        await service.api.start(NUMBER, session="a")
        assert (await service.api.try_start(NUMBER, session="b")).json()["limit"] == "pause_per_number"


async def test_after_its_last_day_it_is_an_ordinary_number(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        service.shift(MIDNIGHT - 60 - service.ctx.clock.now())
        await service.api.start(NUMBER)
        service.shift(61)
        assert (await service.api.try_start(NUMBER)).json()["code"] == "invalid_number"


async def test_a_verification_that_began_before_the_last_day_ended_ends_with_it(
    database_url: str, vendor: Vendor
) -> None:
    number = new_number()
    policy = {"test_numbers": {number: {"pin": PIN, "until": LATER}}, "purposes": {"signup": {"resend_after": [0]}}}
    async with serving(database_url, vendor, policy) as service:
        service.shift(MIDNIGHT - 60 - service.ctx.clock.now())
        started = await service.api.start(number)
        assert datetime.fromisoformat(started["expires_at"]).timestamp() == MIDNIGHT
        service.shift(61)
        assert await service.api.check(started["id"], PIN) == "expired"
        assert (await service.api.resend(started["id"])).json()["code"] == "not_pending"
        assert vendor.messages(number) == []


async def test_a_start_during_which_the_last_day_ends_sends_nothing(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = new_number()
    async with serving(database_url, vendor, {"test_numbers": {number: {"pin": PIN, "until": LATER}}}) as service:
        service.shift(MIDNIGHT - 60 - service.ctx.clock.now())
        find = test_numbers.find

        def find_at_midnight(ctx: Context, e164: str) -> Any:
            entry = find(ctx, e164)
            service.shift(61)
            return entry

        monkeypatch.setattr(test_numbers, "find", find_at_midnight)
        started = await service.api.start(number)
        assert (started["status"], started["delivery"]["route"]) == ("expired", "test")
        assert await service.api.check(started["id"], PIN) == "expired"
        assert vendor.messages(number) == []


async def test_a_notification_to_it_becomes_sent_without_a_message(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(), countries="CO", webhook_networks=LOOPBACK) as service:
        with receiving() as receiver:
            await add(service.api, receiver.url, "notification.*")
            before = vendor.messages()
            queued = await post(service.api, NUMBER, text="Hello")
            await outbox.work(service.ctx)
            sent = await get(service.api, queued["id"])
            assert (sent["status"], sent["route"], sent["to"]) == ("sent", "test", NUMBER)
            assert vendor.messages() == before
            await post_due(service)
            assert [(event.type, event.data) for event in receiver.events] == [("notification.sent", sent)]


async def test_a_notification_that_was_queued_on_the_last_day_is_not_sent_after_it(
    database_url: str, vendor: Vendor
) -> None:
    number = new_number()
    async with serving(database_url, vendor, {"test_numbers": {number: {"pin": PIN, "until": LATER}}}) as service:
        service.shift(MIDNIGHT - 60 - service.ctx.clock.now())
        queued = await post(service.api, number, text="Hello")
        service.shift(61)
        await outbox.work(service.ctx)
        assert (await get(service.api, queued["id"]))["route"] == "test"
        assert vendor.messages(number) == []


async def test_a_purpose_with_longer_pins_refuses_the_number(database_url: str, vendor: Vendor) -> None:
    policy = config(purposes={"login": {"pin_length": 8}})
    async with serving(database_url, vendor, policy) as service:
        answer = await service.api.try_start(NUMBER, "login")
        assert answer.json()["errors"][0]["field"] == "to"
        assert PIN not in answer.text


async def test_a_decoy_for_a_test_number_is_never_approved(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        started = await service.api.start(NUMBER, decoy=True)
        assert await service.api.check(started["id"], PIN) == "incorrect"
