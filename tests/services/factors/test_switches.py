"""Switches of challenges that meet a send, a check or the removal of a factor at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from otp_service.gateways.base import Outcome, Sent
from otp_service.services.factors import factors
from otp_service.services.verifications.pin_messages import pin_delivery
from tests.services.factors.test_challenges import SUBJECT, check, claims, enrolled, start
from tests.support.factors import active_sms, challenge_proof, client_id, value
from tests.support.held import Held, hold_next
from tests.support.service import AT_ONCE, NO_LIMITS, Service, new_number, serving, wrong
from tests.support.vendor import Vendor


@pytest.fixture
async def service(database_url: str, vendor: Vendor, stopped_clock: None) -> AsyncIterator[Service]:  # noqa: ARG001
    """The service without limits of messages; the two newest PINs count."""
    config = {"limits": NO_LIMITS, "purposes": {"login": {**AT_ONCE, "live_pins": 2}}}
    async with serving(database_url, vendor, config) as running:
        yield running


@dataclass(frozen=True)
class Phone:
    """An SMS factor and its number."""

    id: str
    to: str


async def add_phone(service: Service, *, first: bool = False) -> Phone:
    """Returns a phone of the subject."""
    to, proof = new_number(), None if first else await challenge_proof(service, SUBJECT)
    return Phone((await active_sms(service, SUBJECT, to, proof)).id, to)


async def switch(service: Service, challenge: dict[str, Any], factor_id: str) -> Any:
    """Returns the response to a switch."""
    return await service.api.call("POST", f"/v1/challenges/{challenge['id']}/switch", {"factor": factor_id})


async def start_held(
    service: Service, monkeypatch: pytest.MonkeyPatch, phone: Phone, answer: Sent | None = None
) -> tuple[Held, asyncio.Task[Any], dict[str, Any]]:
    """Returns a challenge whose message the gateway has, but does not answer for until the test says so."""
    held = hold_next(service, monkeypatch, "pin", answer)
    body = {"subject": SUBJECT, "factor": phone.id}
    starting = asyncio.create_task(service.api.call("POST", "/v1/challenges", body))
    await held.done.wait()
    return held, starting, await start(service, 200, factor=phone.id)


@pytest.mark.both_databases
async def test_a_pin_that_arrives_after_the_switch_to_another_phone_passes_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await add_phone(service, first=True), await add_phone(service)
    held, starting, challenge = await start_held(service, monkeypatch, first)
    assert (await switch(service, challenge, second.id)).status_code == 200
    held.go_on.set()
    assert (await starting).status_code == 201
    assert (await check(service, challenge, service.pin(first.to)))["result"] == "incorrect"
    checked = await check(service, challenge, service.pin(second.to))
    assert (checked["result"], claims(checked)["phone_number"]) == ("approved", second.to)


async def test_after_a_switch_no_other_route_is_tried(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await enrolled(service)
    phone = await add_phone(service)
    held, starting, challenge = await start_held(service, monkeypatch, phone, Sent(Outcome.REFUSED, "busy"))
    (app,) = challenge["factors"]
    assert (await switch(service, challenge, app["id"])).status_code == 200
    sent = len(service.vendor.messages(phone.to))
    held.go_on.set()
    answer = await starting
    assert (answer.status_code, answer.json()["code"]) == (409, "not_pending")
    assert len(service.vendor.messages(phone.to)) == sent


@pytest.mark.both_databases
async def test_a_pin_that_is_compared_during_a_switch_proves_no_other_number(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await add_phone(service, first=True), await add_phone(service)
    challenge = await start(service, factor=first.id)
    compared: list[bool] = []
    compare = service.ctx.hasher.matches

    async def matches(*given: Any) -> bool:
        right = await compare(*given)
        if not compared:
            compared.append(right)
            assert (await switch(service, challenge, second.id)).status_code == 200
        return right

    monkeypatch.setattr(service.ctx.hasher, "matches", matches)
    checked = await check(service, challenge, service.pin(first.to))
    assert (compared, checked["result"], checked["proof"]) == ([True], "no_pin", None)
    assert checked["challenge"]["factor"]["id"] == second.id
    checked = await check(service, challenge, service.pin(second.to))
    assert (checked["result"], claims(checked)["phone_number"]) == ("approved", second.to)


@pytest.mark.both_databases
async def test_a_phone_that_is_removed_during_a_switch_gets_no_message(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enrolled(service)
    phone = await add_phone(service)
    challenge = await start(service)
    prepare, sent = pin_delivery.prepare, len(service.vendor.messages(phone.to))

    async def prepared(*given: Any) -> Any:
        await factors.remove(service.ctx, await client_id(service), phone.id, None)
        return await prepare(*given)

    monkeypatch.setattr(pin_delivery, "prepare", prepared)
    answer = await switch(service, challenge, phone.id)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_factor")
    assert len(service.vendor.messages(phone.to)) == sent


async def test_a_switch_whose_message_is_refused_leaves_the_challenge_pending(service: Service) -> None:
    secret = await enrolled(service)
    phone = await add_phone(service)
    challenge = await start(service)
    (app,) = [challenge["factor"]]
    for method in ("pin", "sms", "mt"):
        service.vendor.fail(method, "refuse")
    assert (await switch(service, challenge, phone.id)).json()["code"] == "gateway_failed"
    assert (await switch(service, challenge, app["id"])).json()["status"] == "pending"
    assert (await check(service, challenge, value(service, secret)))["result"] == "approved"


async def test_a_challenge_that_began_during_a_wait_sends_as_any_other_after_it(service: Service) -> None:
    phone = await add_phone(service, first=True)
    for number in range(10):
        challenge = await start(service, session=f"{number}")
        await check(service, challenge, wrong(service.pin(phone.to)), session=f"{number}")
    challenge = await start(service)
    assert challenge["delivery"]["status"] is None
    service.shift(31)
    answer = await service.api.call("POST", f"/v1/challenges/{challenge['id']}/resends")
    assert (answer.status_code, answer.json()["delivery"]["route"], answer.json()["sends_left"]) == (200, "pin", 2)
    assert (await check(service, challenge, service.pin(phone.to)))["result"] == "approved"
