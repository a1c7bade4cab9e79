"""Limits per number, address and client: what is taken, refused, given back."""

import asyncio
import re
from collections import Counter
from typing import Any

import httpx
import pytest

from otp_service.config.policy.rates import Failures
from otp_service.services.limits import limits
from tests.support.held import hold_next
from tests.support.receipts import tell
from tests.support.service import NO_LIMITS, Service, new_number, serving, wrong
from tests.support.vendor import Vendor


def config(**more: Any) -> dict[str, Any]:
    return {"limits": {**NO_LIMITS, **more}}


def rate_limit(answer: httpx.Response) -> tuple[str, str, int, int]:
    """(name, policy, left, seconds until one more) as the headers tell it."""
    name, policy = re.fullmatch(r'"([a-z_]+)";(.+)', answer.headers["ratelimit-policy"]).groups()  # type: ignore[union-attr]
    left, seconds = re.fullmatch(rf'"{name}";r=(\d+);t=(\d+)', answer.headers["ratelimit"]).groups()  # type: ignore[union-attr]
    return name, policy, int(left), int(seconds)


def tells_nothing(answer: httpx.Response) -> bool:
    return not [name for name in answer.headers if name.startswith("ratelimit")]


async def statuses(service: Service, starts: int, to: str | None = None) -> Counter[int]:
    """So many starts at once, each with a session of its own."""
    answers = await asyncio.gather(*(service.api.try_start(to or new_number(), session=f"s{n}") for n in range(starts)))
    for answer in answers:
        if answer.status_code == 429:
            assert answer.json()["code"] == "rate_limited"
            told = rate_limit(answer)
            assert (told[0], told[2]) == (answer.json()["limit"], 0)
            assert told[3] == int(answer.headers["retry-after"]) >= 1
    return Counter(answer.status_code for answer in answers)


@pytest.mark.both_databases
async def test_a_burst_at_one_number_passes_exactly_as_often_as_allowed(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(sends_per_number="5/hour; 7/day")) as service:
        to = new_number()
        assert await statuses(service, 20, to=to) == {201: 5, 429: 15}
        assert len(vendor.messages(to)) == 5
        service.shift(721)
        refill = await statuses(service, 3, to=to)
        assert refill == {201: 1, 429: 2}
        service.shift(6 * 720)
        assert (await statuses(service, 9, to=to))[201] == 1, "the day's limit refuses what the hour's would allow"


async def test_the_limits_of_a_number_hold_over_clients_and_purposes(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(sends_per_number="2/hour")) as service:
        to, other = new_number(), await service.client("other")
        await service.api.start(to)
        await other.start(to, purpose="login")
        refused = await service.api.try_start(to, purpose="password_reset")
        assert (refused.status_code, refused.json()["limit"]) == (429, "sends_per_number")
        assert 1700 < int(refused.headers["retry-after"]) <= 1800


async def test_resends_count_at_the_number_as_well(database_url: str, vendor: Vendor) -> None:
    policy = {**config(sends_per_number="2/hour"), "purposes": {"signup": {"resend_after": [0]}}}
    async with serving(database_url, vendor, policy) as service:
        started = await service.api.start()
        assert (await service.api.resend(started["id"])).status_code == 200
        refused = await service.api.resend(started["id"])
        assert (refused.status_code, refused.json()["limit"]) == (429, "sends_per_number")
        assert (await service.api.read(started["id"]))["sends_left"] == 1


async def test_the_pause_is_of_one_client_and_purpose(service: Service) -> None:
    to, other = new_number(), await service.client("other")
    await service.api.start(to, session="a")
    refused = await service.api.try_start(to, session="b")
    assert (refused.status_code, refused.json()["limit"]) == (429, "pause_per_number")
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    await service.api.start(to, purpose="login")
    await other.start(to)
    service.shift(30.1)
    await service.api.start(to, session="b")


@pytest.mark.both_databases
async def test_an_approval_ends_the_pause(service: Service) -> None:
    to = new_number()
    for _ in range(2):
        started = await service.api.start(to, session="a")
        assert await service.api.check(started["id"], service.pin(to), session="a") == "approved"
    await service.api.start(to, session="b")
    refused = await service.api.try_start(to, session="c")
    assert (refused.status_code, refused.json()["limit"]) == (429, "pause_per_number"), "the new start pauses again"


@pytest.mark.parametrize(
    ("fate", "ends"), [("DELIVERED_TO_DEVICE", True), ("UNDELIVERED", True), ("BAD_TO", True), ("SENT", False)]
)
async def test_a_cancel_ends_the_pause_once_the_fate_of_the_message_is_known(
    database_url: str, vendor: Vendor, fate: str, ends: bool
) -> None:
    async with serving(database_url, vendor, {"purposes": {"signup": {"routes": ["sms"]}}}) as service:
        to = new_number()
        started = await service.api.start(to)
        assert (await service.api.cancel(started["id"])).status_code == 200
        assert (await service.api.try_start(to)).status_code == 429, "it can still arrive"
        await tell(service, to, fate)
        assert (await service.api.try_start(to)).status_code == (201 if ends else 429)


async def test_a_cancel_does_not_end_the_pause_while_a_resend_is_in_flight(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {"purposes": {"signup": {"routes": ["sms"], "resend_after": [0]}}}
    async with serving(database_url, vendor, policy) as service:
        to = new_number()
        started = await service.api.start(to)
        await tell(service, to, "DELIVERED_TO_DEVICE")
        held = hold_next(service, monkeypatch, "sms")
        resend = asyncio.create_task(service.api.resend(started["id"]))
        await held.done.wait()
        await service.api.cancel(started["id"])
        assert (await service.api.try_start(to)).json()["limit"] == "pause_per_number", "the resend can still arrive"
        held.go_on.set()
        await resend


@pytest.mark.both_databases
async def test_starts_at_once_after_an_approval_send_one_message(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as service:
        to = new_number()
        started = await service.api.start(to, session="a")
        assert await service.api.check(started["id"], service.pin(to), session="a") == "approved"
        answers = await asyncio.gather(*(service.api.try_start(to, session=f"s{each}") for each in range(8)))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 429: 7}
        assert len(vendor.messages(to)) == 2


async def test_a_superseded_verification_does_not_end_the_pause_of_its_number(service: Service) -> None:
    one, other = new_number(), new_number()
    await service.api.start(one, session="a")
    await service.api.start(other, session="a")
    assert (await service.api.try_start(one, session="a")).json()["limit"] == "pause_per_number"


async def test_the_pause_says_if_another_session_began_it(service: Service) -> None:
    to = new_number()
    await service.api.start(to, session="a")
    service.shift(12)
    refused = await service.api.try_start(to, session="b")
    said = re.fullmatch(
        r"Another session started a verification of this number 1[2-9] seconds ago\. Retry in 1[0-8] seconds\.",
        refused.json()["detail"],
    )
    assert said, refused.json()["detail"]
    assert (limits.in_words(0), limits.in_words(1), limits.in_words(2)) == ("0 seconds", "1 second", "2 seconds")
    mine = await service.api.start(to := new_number(), session="a")
    await service.api.cancel(mine["id"])
    assert "session" not in (await service.api.try_start(to, session="a")).json()["detail"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("198.51.100.7", "198.51.100.7", True),
        ("198.51.100.7", "::ffff:198.51.100.7", True),
        ("198.51.100.7", "198.51.100.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:1:2:3", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ],
)
async def test_an_address_counts_by_what_one_person_owns(
    database_url: str, vendor: Vendor, first: str, second: str, same: bool
) -> None:
    async with serving(database_url, vendor, config(sends_per_user_ip="1/hour")) as service:
        await service.api.start(user_ip=first)
        answer = await service.api.try_start(new_number(), user_ip=second)
        assert answer.status_code == (429 if same else 201)
        assert answer.json().get("limit") == ("sends_per_user_ip" if same else None)


async def test_forwarding_headers_make_no_new_counter(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(sends_per_user_ip="1/hour")) as service:
        await service.api.start(user_ip="198.51.100.7")
        for name in ("x_forwarded_for", "x_real_ip", "forwarded"):
            body = {"to": new_number(), "purpose": "signup", "user_ip": "198.51.100.7"}
            answer = await service.api.call("POST", "/v1/verifications", body, **{name: "203.0.113.9"})
            assert answer.status_code == 429


async def test_one_client_does_not_use_up_another(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(sends_per_client="3/hour")) as service:
        other = await service.client("other")
        assert await statuses(service, 10) == {201: 3, 429: 7}
        await other.start()


@pytest.mark.both_databases
async def test_a_refusal_tells_the_limit_that_refused(database_url: str, vendor: Vendor) -> None:
    policy = config(
        sends_per_number="2/hour; 2/day", pause_per_number=300, failures_per_number={"free": 0, "first_wait": 300}
    )
    async with serving(database_url, vendor, {**policy, "purposes": {"signup": {"resend_after": [400]}}}) as service:
        to = new_number()
        started = await service.api.start(to, session="a")
        resend, pause = await service.api.resend(started["id"]), await service.api.try_start(to, session="b")
        await service.api.start(to, purpose="login")
        number = await service.api.try_start(to, purpose="password_reset")
        await service.api.check(started["id"], wrong(service.pin(to)), session="a")
        waiting = await service.api.try_start(to, session="b")
    told = [rate_limit(each) for each in (resend, pause, number, waiting)]
    assert [each[:3] for each in told] == [
        ("resend_after", "q=1", 0),
        ("pause_per_number", "q=1;w=300", 0),
        ("sends_per_number", "q=2;w=86400", 0),
        ("failures_per_number", "q=1", 0),
    ]
    for (*_, seconds), wait in zip(told, (400, 300, 43200, 300), strict=True):
        assert wait - 100 < seconds <= wait


async def test_what_sends_tells_what_is_left_of_the_clients_own_limit(database_url: str, vendor: Vendor) -> None:
    policy = {**config(sends_per_client="4/hour; 3/day"), "purposes": {"signup": {"resend_after": [0]}}}
    async with serving(database_url, vendor, policy) as service:
        first = await service.api.try_start(new_number())
        assert rate_limit(first)[:3] == ("sends_per_client", "q=3;w=86400", 2)
        assert 28_790 < rate_limit(first)[3] <= 28_800
        again = await service.api.try_start(first.json()["to"])
        assert (again.status_code, tells_nothing(again)) == (200, True)
        resent = await service.api.resend(first.json()["id"])
        assert (resent.status_code, rate_limit(resent)[2]) == (200, 1)
        service.shift(28_700)
        last = await service.api.try_start(new_number())
        assert (last.status_code, rate_limit(last)[2]) == (201, 0)
        assert 90 < rate_limit(last)[3] <= 100


async def test_what_others_count_in_is_told_by_no_success(database_url: str, vendor: Vendor) -> None:
    limits = config(sends_per_number="5/hour", sends_per_user_ip="5/hour", pause_per_number=30)
    async with serving(database_url, vendor, limits) as service:
        started = await service.api.try_start(new_number(), user_ip="198.51.100.7")
        assert (started.status_code, tells_nothing(started)) == (201, True)


def test_the_waits_as_steps_are_wait_after() -> None:
    for failures in (Failures(), Failures(free=3, first_wait=1, longest_wait=5, lock_after=9, lock_for=50)):
        steps = limits.wait_steps(failures)
        for count in range(1, failures.lock_after + 5):
            assert next((wait for least, wait in steps if count >= least), 0.0) == failures.wait_after(count)
