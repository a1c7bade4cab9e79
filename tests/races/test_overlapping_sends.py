"""Sends of one verification that overlap: whichever ends last, the newest accepted PIN is the one that counts."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from otp_service.database.engine import POSTGRES_CONNECTIONS
from otp_service.gateways.base import Outcome, Sent
from otp_service.gateways.breaker import FIRST_PAUSE_SECONDS
from otp_service.services.limits import limits
from otp_service.services.operations import retention
from otp_service.services.verifications.pin_messages import pin_message
from tests.support.held import Held, hold_next
from tests.support.patience import PATIENCE
from tests.support.service import NO_LIMITS, Service, new_number, serving
from tests.support.vendor import Vendor

StartHeld = Callable[..., Awaitable[tuple[Held, asyncio.Task[Any]]]]


def config(**signup: Any) -> dict[str, Any]:
    return {"limits": NO_LIMITS, "purposes": {"signup": {"resend_after": [0], **signup}}}


@pytest.fixture
def start_held(monkeypatch: pytest.MonkeyPatch) -> StartHeld:
    """Starts a verification whose first message the gateway has, but does not answer for until the test says so."""

    async def start(
        service: Service, to: str, route: str, *, fault: str | None = None, answer: Sent | None = None
    ) -> tuple[Held, asyncio.Task[Any]]:
        if fault is not None:
            service.vendor.fail(route, fault)
        held = hold_next(service, monkeypatch, route, answer)
        starting = asyncio.create_task(service.api.try_start(to))
        await held.done.wait()
        return held, starting

    return start


async def finish(held: Held, starting: asyncio.Task[Any]) -> Any:
    """The answer to the start, once the gateway answers."""
    held.go_on.set()
    return await starting


@pytest.mark.both_databases
async def test_a_first_send_that_is_refused_late_leaves_the_resend_its_pin(
    database_url: str, vendor: Vendor, start_held: StartHeld
) -> None:
    async with serving(database_url, vendor, config(routes=["pin"])) as service:
        to = new_number()
        held, starting = await start_held(service, to, "pin", fault="refuse")
        pending = await service.api.start(to)
        assert (await service.api.resend(pending["id"])).status_code == 200
        assert (await finish(held, starting)).status_code == 502
        shown = await service.api.read(pending["id"])
        assert (shown["status"], shown["delivery"]["status"]) == ("pending", "sent")
        assert await service.api.check(pending["id"], service.pin(to)) == "approved"


@pytest.mark.both_databases
@pytest.mark.parametrize("route", ["pin", "sms"])
async def test_a_first_send_that_is_accepted_late_does_not_revive_the_older_pin(
    database_url: str, vendor: Vendor, start_held: StartHeld, route: str
) -> None:
    async with serving(database_url, vendor, config(routes=[route])) as service:
        to = new_number()
        held, starting = await start_held(service, to, route)
        pending = await service.api.start(to)
        assert (await service.api.resend(pending["id"])).status_code == 200
        assert (await finish(held, starting)).status_code == 201
        older, newer = sorted(vendor.messages(to), key=lambda message: message["at"])
        if older["pin"] != newer["pin"]:
            assert await service.api.check(pending["id"], older["pin"]) == "incorrect"
        assert await service.api.check(pending["id"], newer["pin"]) == "approved"


async def test_an_older_send_of_unknown_outcome_does_not_revive_its_pin(
    database_url: str, vendor: Vendor, start_held: StartHeld
) -> None:
    async with serving(database_url, vendor, config(routes=["sms"])) as service:
        to = new_number()
        held, starting = await start_held(service, to, "sms", answer=Sent(Outcome.UNKNOWN, "timeout"))
        pending = await service.api.start(to)
        resent = (await service.api.resend(pending["id"])).json()
        assert (await finish(held, starting)).json()["delivery"]["status"] == "sent", (
            "the newest message is the one that is shown"
        )
        shown = await service.api.read(pending["id"])
        assert (shown["resend_at"], shown["delivery"]) == (resent["resend_at"], resent["delivery"])
        older, newer = sorted(vendor.messages(to), key=lambda message: message["at"])
        if older["pin"] != newer["pin"]:
            assert await service.api.check(pending["id"], older["pin"]) == "incorrect"


async def test_an_older_send_that_ends_late_does_not_shorten_the_wait(
    database_url: str, vendor: Vendor, start_held: StartHeld
) -> None:
    async with serving(database_url, vendor, config(routes=["pin"], resend_after=[0, 300])) as service:
        to = new_number()
        held, starting = await start_held(service, to, "pin", fault="refuse")
        pending = await service.api.start(to)
        assert (await service.api.resend(pending["id"])).status_code == 200
        assert (await finish(held, starting)).status_code == 502
        refused = await service.api.resend(pending["id"])
        assert (refused.status_code, refused.json()["limit"]) == (429, "resend_after")


@pytest.mark.both_databases
async def test_refused_sends_with_limits_they_share_give_everything_back_and_never_deadlock(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, rounds = POSTGRES_CONNECTIONS + 2, 4  # more than PostgreSQL has connections
    hour, day = f"{at_once + 3}/hour", f"{at_once + 6}/day"
    shared = {**NO_LIMITS, "sends_per_client": f"{hour}; {day}", "sends_per_user_ip": hour}
    async with serving(database_url, vendor, {"limits": shared}) as service:
        # On a busy machine too, each call is answered before its timeout.
        monkeypatch.setattr(pin_message, "TOTAL_SECONDS", PATIENCE)
        service.app.state.context = replace(service.ctx, gateway_timeout=PATIENCE)
        vendor.fail("*", "refuse", times=None)
        for _ in range(rounds):
            answers = await asyncio.gather(
                *(service.api.try_start(new_number(), user_ip="198.51.100.1") for _ in range(at_once))
            )
            assert Counter(answer.status_code for answer in answers) == {502: at_once}
        vendor.recover()
        service.shift(FIRST_PAUSE_SECONDS)
        assert (await service.api.start(user_ip="198.51.100.1"))["status"] == "pending"


async def test_what_was_refilled_is_not_given_back(database_url: str, vendor: Vendor, start_held: StartHeld) -> None:
    limited = {"limits": {**NO_LIMITS, "pause_per_number": 600}, "purposes": {"signup": {"routes": ["pin"]}}}
    async with serving(database_url, vendor, limited) as service:
        to = new_number()
        held, starting = await start_held(service, to, "pin", fault="refuse")
        service.shift(601)
        await service.api.start(to, session="b")
        assert (await finish(held, starting)).status_code == 502
        refused = await service.api.try_start(to, session="c")
        assert (refused.status_code, refused.json()["limit"]) == (429, limits.PAUSE)


@pytest.mark.both_databases
async def test_a_canceled_verification_whose_audit_is_not_kept_still_settles(
    database_url: str, vendor: Vendor, start_held: StartHeld
) -> None:
    async with serving(database_url, vendor, {**config(), "retention": {"audit": 0}}) as service:
        to = new_number()
        held, starting = await start_held(service, to, "pin")
        pending = await service.api.start(to)
        await service.api.cancel(pending["id"])
        service.shift(1)
        await retention.sweep(service.ctx)
        answer = await finish(held, starting)
        assert (answer.status_code, answer.json()["status"]) == (201, "canceled")
