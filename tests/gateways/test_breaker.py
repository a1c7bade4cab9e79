"""A gateway that fails for long is left alone, then asked by one send at a time, and trusted again by itself."""

import asyncio
from typing import Any

import pytest

from otp_service.gateways.base import Outcome, Sent
from otp_service.gateways.breaker import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    OPENS_AT,
    PROBE_SECONDS,
    Breaker,
)
from otp_service.observability import metrics
from tests.support.held import hold_next
from tests.support.service import NO_LIMITS, Service, new_number, serving
from tests.support.vendor import Vendor

GOOD = Sent(Outcome.ACCEPTED, "ok")
LOST = Sent(Outcome.UNKNOWN, "timeout")
FAILURES = OPENS_AT
ABOUT_THE_MESSAGE = [
    "carrier_signature",
    "error",
    "message_failed",
    "some_messages_failed",
    "no_pin",
    "no_message",
    "http_400",
    "http_404",
]
PIN_ALONE = {"limits": NO_LIMITS, "purposes": {"signup": {"routes": ["pin"]}}}


def opened(now: float = 0.0) -> Breaker:
    made = Breaker()
    for _ in range(FAILURES):
        assert made.allows(now)
        made.record(LOST, now)
    return made


@pytest.mark.parametrize(
    "reason",
    ["not_connected", "timeout", "connection_lost", "bad_signature", "unreadable", "http_401", "http_429", "http_500"],
)
def test_twenty_failures_in_a_row_open_it_and_nineteen_do_not(reason: str) -> None:
    made = Breaker()
    for _ in range(FAILURES - 1):
        made.record(Sent(Outcome.REFUSED, reason), 0.0)
    assert made.allows(0.0)
    made.record(Sent(Outcome.REFUSED, reason), 0.0)
    assert (made.state, made.allows(0.0)) == ("open", False)


@pytest.mark.parametrize("good", [GOOD, Sent(Outcome.REFUSED, "message_failed")], ids=["accepted", "message-rejected"])
def test_a_working_gateway_in_between_starts_the_count_again(good: Sent) -> None:
    made = Breaker()
    for sent in [*[LOST] * (FAILURES - 1), good, *[LOST] * (FAILURES - 1)]:
        made.record(sent, 0.0)
    assert made.state == "closed"


@pytest.mark.parametrize("reason", ABOUT_THE_MESSAGE)
def test_an_answer_that_can_be_about_one_message_never_opens_it(reason: str) -> None:
    made = Breaker()
    for _ in range(10 * FAILURES):
        made.record(Sent(Outcome.REFUSED, reason), 0.0)
    assert made.allows(0.0)


def test_after_the_pause_one_probe_goes_out_and_a_good_one_closes_it() -> None:
    made = opened()
    assert not made.allows(FIRST_PAUSE_SECONDS - 0.1)
    assert [made.allows(FIRST_PAUSE_SECONDS) for _ in range(5)] == [True, False, False, False, False]
    made.record(GOOD, FIRST_PAUSE_SECONDS)
    assert [made.allows(FIRST_PAUSE_SECONDS) for _ in range(5)] == [True] * 5


def test_a_bad_probe_doubles_the_pause_up_to_a_bound() -> None:
    made, now, pauses = opened(), 0.0, []
    for _ in range(5):
        begun = now
        while not made.allows(now):
            now += 1
        pauses.append(now - begun)
        made.record(LOST, now)
    assert pauses == [5, 10, 20, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


def test_a_probe_that_was_cut_off_does_not_leave_it_open_for_good() -> None:
    made = opened()
    assert made.allows(FIRST_PAUSE_SECONDS)
    assert not made.allows(FIRST_PAUSE_SECONDS + PROBE_SECONDS - 0.1)
    assert made.allows(FIRST_PAUSE_SECONDS + PROBE_SECONDS)


@pytest.mark.parametrize("reason", ["bad_segment", "url_too_long", "no_carrier"])
def test_a_message_that_never_left_says_nothing_of_the_gateway(reason: str) -> None:
    never_left = Sent(Outcome.REFUSED, reason)
    made = opened()
    assert made.allows(FIRST_PAUSE_SECONDS)
    made.record(never_left, FIRST_PAUSE_SECONDS)
    assert made.state == "open"
    assert made.allows(FIRST_PAUSE_SECONDS), "the next one is the probe"
    made = Breaker()
    for sent in [*[LOST] * (FAILURES - 1), never_left, LOST]:
        made.record(sent, 0.0)
    assert made.state == "open"


def test_what_was_under_way_when_it_opened_changes_nothing() -> None:
    made = opened()
    made.record(LOST, 1.0)
    assert made.state == "open"


async def exhaust(service: Service, count: int = FAILURES) -> list[int]:
    """The answers to so many starts, one after the other."""
    return [(await service.api.try_start(new_number())).status_code for _ in range(count)]


def calls(vendor: Vendor, reached: int) -> int:
    """How many of the armed faults were met."""
    left: list[int] = [fault["times"] for fault in vendor.http.get("/faults").json()]
    return reached - sum(left)


async def ready(service: Service) -> dict[str, Any]:
    answer = await service.http.get("/readyz")
    assert answer.status_code == 200
    gateway: dict[str, Any] = answer.json()["gateway"]
    return gateway


async def test_an_open_route_is_left_out_shown_and_tried_again_by_one_send(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor, PIN_ALONE) as service:
        started = await service.api.start()
        vendor.fail("pin", "http_503", times=100)
        assert await exhaust(service) == [502] * FAILURES
        assert calls(vendor, 100) == FAILURES
        assert await exhaust(service, 5) == [502] * 5
        assert calls(vendor, 100) == FAILURES, "an open breaker makes no call"
        found = await ready(service)
        assert (found["status"], found["routes"]["pin"], found["routes"]["sms"]) == ("trouble", "open", "closed")
        assert 'otp_gateway_breaker_open{route="pin"} 1.0' in metrics.render().decode()
        assert await service.api.check(started["id"], service.pin(started["to"])) == "approved", "checks go on"
        service.shift(FIRST_PAUSE_SECONDS)
        found = await ready(service)
        assert found["routes"]["pin"] == "half_open", "also where no message uses the route for long"
        assert 'otp_gateway_breaker_open{route="pin"} 0.0' in metrics.render().decode()
        vendor.recover()
        held = hold_next(service, monkeypatch, "pin")
        probe = asyncio.create_task(service.api.try_start(new_number()))
        await held.done.wait()
        assert await exhaust(service, 4) == [502] * 4, "the others wait for the outcome of the probe"
        held.go_on.set()
        assert (await probe).status_code == 201
        assert (await ready(service))["status"] == "ok"
        assert 'otp_gateway_breaker_open{route="pin"} 0.0' in metrics.render().decode()
        assert await exhaust(service, 2) == [201, 201]


async def test_a_carrier_that_the_gateway_rejects_closes_no_route_to_other_clients(
    migrated: str, vendor: Vendor
) -> None:
    async with serving(migrated, vendor, {"limits": NO_LIMITS, "purposes": {"signup": {"routes": ["sms"]}}}) as service:
        other = await service.client("other")
        for fault in ("refuse", "message_failed"):
            vendor.fail("sms", fault, times=2 * FAILURES)
            rejected = [await other.try_start(new_number(), carrier="Nonesuch") for _ in range(2 * FAILURES)]
            assert {answer.status_code for answer in rejected} == {502}
            assert (await service.api.start())["delivery"]["route"] == "sms"
        assert (await ready(service))["routes"]["sms"] == "closed"


async def test_while_a_route_is_open_the_next_one_carries_the_messages(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        vendor.fail("pin", "http_503", times=None)
        for _ in range(FAILURES):
            assert (await service.api.start())["delivery"]["route"] == "sms"
        started = await service.api.start()
        sends = [event for event in await service.api.events(started["id"]) if event["type"] == "send"]
        assert [(send["route"], send["detail"]) for send in sends] == [("pin", "breaker_open"), ("sms", "ok")]


async def test_a_refused_signature_raises_the_alarm_until_one_is_taken(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, PIN_ALONE) as service:
        vendor.fail("pin", "bad_signature")
        assert await exhaust(service, 1) == [502]
        assert (await ready(service))["alarm"] == "bad_signature"
        assert 'otp_gateway_bad_signatures_total{method="pin"}' in metrics.render().decode()
        assert await exhaust(service, 1) == [201]
        assert await ready(service) == {
            "status": "ok",
            "routes": {"pin": "closed", "sms": "closed", "mt": "closed"},
            "alarm": None,
        }
