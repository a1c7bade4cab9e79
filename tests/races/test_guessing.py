"""Many requests at once: never more comparisons than attempts, never more than one approval."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from otp_service.services.operations import retention
from tests.support.service import AT_ONCE, NO_LIMITS, Api, Service, serving, wrong
from tests.support.vendor import Vendor

EASY = {"limits": {**NO_LIMITS, "failures_per_number": {"free": 1000, "lock_after": 10000}}}


async def results(api: Api, verification_id: str, pins: list[str]) -> Counter[str]:
    """All checks at once."""
    return Counter(await asyncio.gather(*(api.check(verification_id, pin) for pin in pins)))


@pytest.mark.both_databases
async def test_fifty_wrong_checks_at_once_are_compared_as_often_as_there_are_attempts(service: Service) -> None:
    started = await service.api.start()
    pin = service.pin(started["to"])
    found = await results(service.api, started["id"], [wrong(pin)] * 50)
    assert found == {"incorrect": 5, "exhausted": 45}
    assert await service.api.check(started["id"], pin) == "exhausted"
    assert (await service.api.read(started["id"]))["status"] == "exhausted"


@pytest.mark.both_databases
@pytest.mark.parametrize(("rounds", "most"), [(4, 3), pytest.param(16, 7, marks=pytest.mark.long)])
async def test_a_right_check_among_fifty_wins_no_more_often_than_chance(
    database_url: str, vendor: Vendor, rounds: int, most: int
) -> None:
    approved = 0
    shuffled = random.Random(20)
    async with serving(database_url, vendor, EASY) as service:
        for _ in range(rounds):
            started = await service.api.start()
            pin = service.pin(started["to"])
            pins = [wrong(pin)] * 49 + [pin]
            shuffled.shuffle(pins)
            found = await results(service.api, started["id"], pins)
            assert found["approved"] <= 1
            assert found["approved"] + found["incorrect"] <= 5
            approved += found["approved"]
    # A tenth is expected; more than this happens by chance once in 10,000 runs at the most.
    assert approved <= most


@pytest.mark.both_databases
async def test_fifty_right_checks_at_once_give_one_approval(service: Service) -> None:
    started = await service.api.start()
    pin = service.pin(started["to"])
    found = await results(service.api, started["id"], [pin] * 50)
    assert found["approved"] == 1
    assert set(found) <= {"approved", "already_approved", "exhausted"}


@pytest.mark.both_databases
async def test_a_cancel_and_a_right_check_end_in_one_of_two_orders(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, EASY) as service:
        for _ in range(8):
            started = await service.api.start()
            pin = service.pin(started["to"])
            result, canceled = await asyncio.gather(
                service.api.check(started["id"], pin), service.api.cancel(started["id"])
            )
            status = (await service.api.read(started["id"]))["status"]
            seen = (result, canceled.status_code, status)
            assert seen in {("approved", 409, "approved"), ("canceled", 200, "canceled")}


async def test_a_resend_and_a_right_check_end_in_one_of_two_orders(database_url: str, vendor: Vendor) -> None:
    config = {**EASY, "purposes": {"signup": AT_ONCE}}
    async with serving(database_url, vendor, config) as service:
        for _ in range(8):
            started = await service.api.start()
            pin = service.pin(started["to"])
            result, resent = await asyncio.gather(
                service.api.check(started["id"], pin), service.api.resend(started["id"])
            )
            assert (result, resent.status_code) in {("approved", 409), ("approved", 200), ("incorrect", 200)}
            if result == "incorrect":
                assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"


@pytest.mark.both_databases
async def test_an_attempt_spent_in_time_is_approved_also_when_the_end_comes_while_it_is_compared(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await service.api.start()
    service.shift(595)
    matches = service.ctx.hasher.matches

    async def slow(*asked: Any) -> bool:
        service.shift(6)
        return await matches(*asked)

    monkeypatch.setattr(service.ctx.hasher, "matches", slow)
    assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"
    assert (await service.api.read(started["id"]))["status"] == "approved"


@pytest.mark.both_databases
async def test_a_verification_that_was_swept_while_a_check_was_compared_stays_expired(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await service.api.start()
    matches = service.ctx.hasher.matches

    async def swept(*asked: Any) -> bool:
        service.shift(600)
        await retention.sweep(service.ctx)
        return await matches(*asked)

    monkeypatch.setattr(service.ctx.hasher, "matches", swept)
    assert await service.api.check(started["id"], service.pin(started["to"])) == "expired"
    assert (await service.api.read(started["id"]))["status"] == "expired"


@pytest.mark.both_databases
async def test_the_same_start_twice_at_once_sends_one_message(service: Service) -> None:
    for _ in range(5):
        first = await service.api.start(session="s")
        await service.api.cancel(first["id"])
        to = first["to"]
        service.shift(3600)
        answers = await asyncio.gather(*(service.api.try_start(to, session="s") for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(service.vendor.messages(to)) == 2
        await service.api.cancel(answers[0].json()["id"])


@pytest.mark.both_databases
async def test_two_numbers_for_one_session_at_once_leave_one_pending(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, EASY) as service:
        for round_ in range(5):
            session = f"session-{round_}"
            started = await asyncio.gather(*(service.api.start(session=session) for _ in range(4)))
            states = [await service.api.read(each["id"]) for each in started]
            assert Counter((s["status"], s["reason"]) for s in states) == {
                ("pending", None): 1,
                ("canceled", "superseded"): 3,
            }
