"""Calls that need no hash are bounded per client, and those about one number take turns."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

from otp_service.errors import Refusal
from otp_service.services.limits import concurrency
from otp_service.services.limits.concurrency import MOST_PER_CLIENT, Concurrency
from tests.support.service import Api, Service, new_number


def test_a_client_has_no_more_than_its_bound_under_way() -> None:
    made = Concurrency()
    with ExitStack() as calls:
        for _ in range(MOST_PER_CLIENT):
            calls.enter_context(made.of_client("a"))
        with pytest.raises(Refusal) as caught, made.of_client("a"):
            pass
        assert (caught.value.code, caught.value.retry_after) == ("overloaded", concurrency.MOST_WAIT_SECONDS)
        with made.of_client("b"):
            pass
    with made.of_client("a"):
        pass


async def test_calls_about_one_number_run_one_after_the_other_and_other_numbers_do_not_wait() -> None:
    made, running = Concurrency(), list[str]()
    end = asyncio.Event()

    async def call(client: str, number: str) -> None:
        async with made.turn(client, number):
            running.append(number)
            await end.wait()
            running.remove(number)

    calls = [asyncio.create_task(call(client, number)) for client in ("a", "b") for number in ("1", "2")]
    for _ in range(5):
        await asyncio.sleep(0)
    assert running == ["1", "2"]
    end.set()
    await asyncio.gather(*calls)


async def test_a_call_that_waits_too_long_for_its_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Concurrency()
    async with made.turn("a", "1"):
        monkeypatch.setattr(concurrency, "MOST_WAIT_SECONDS", 0)
        with pytest.raises(Refusal) as caught:
            async with made.turn("b", "1"):
                pass
        assert caught.value.code == "overloaded"
    async with made.turn("b", "1"):
        pass


async def test_equal_subjects_of_two_clients_do_not_wait_for_each_other() -> None:
    made = Concurrency()
    async with made.turn_of_subject("a", "1"), made.turn_of_subject("b", "1"), made.turn("b", "1"):
        pass


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "inbound start": ("/v1/verifications", {"purpose": "signup", "channel": "inbound"}),
    "opt-out": ("/v1/opt-outs", {}),
    "notification": ("/v1/notifications", {"text": "Hello"}),
}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("name", "at_once"),
    [
        ("inbound start", 200),
        *(pytest.param(name, 400, marks=pytest.mark.long) for name in CALLS),
    ],
)
async def test_hundreds_at_once_about_one_number_hold_up_no_other_clients_checks(
    service: Service, name: str, at_once: int
) -> None:
    path, fields = CALLS[name]
    started = await service.api.start()
    loud: Api = await service.client("loud")
    body = {"to": new_number(), **fields}
    calls = [asyncio.create_task(loud.call("POST", path, body)) for _ in range(at_once)]
    results = [await service.api.check(started["id"], service.pin(started["to"])) for _ in range(5)]
    assert results == ["approved"] + ["already_approved"] * 4
    codes = {answer.json().get("code") for answer in await asyncio.gather(*calls) if answer.status_code >= 400}
    assert "overloaded" in codes
    assert codes <= {"overloaded", "rate_limited"}
