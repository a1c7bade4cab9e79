"""`Idempotency-Key`: one effect and one answer for 24 hours, per client."""

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from otp_service.services.clients import idempotency
from otp_service.services.clients.clients import ApiKeyCache
from otp_service.services.verifications import checks
from otp_service.services.verifications.pin_messages import pin_delivery, pin_message
from otp_service.storage.tables import requests
from tests.support.held import Held, hold_next
from tests.support.service import AT_ONCE, Api, Service, new_number, serving, wrong
from tests.support.vendor import Vendor


async def keyed(api: Api, key: str, to: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    answer = await api.call("POST", "/v1/verifications", {"to": to, "purpose": "signup", **fields}, idempotency_key=key)
    return answer.status_code, answer.json()


@pytest.mark.both_databases
async def test_the_same_key_twenty_times_at_once_sends_one_message(service: Service) -> None:
    to = new_number()
    answers = await asyncio.gather(*(keyed(service.api, "k", to) for _ in range(20)))
    found = Counter((status, body.get("code")) for status, body in answers)
    assert found[201, None] >= 1
    assert set(found) <= {(201, None), (409, "idempotency_in_progress")}
    assert len(service.vendor.messages(to)) == 1
    assert len({body["id"] for status, body in answers if status == 201}) == 1


async def test_a_saved_answer_is_given_again_also_after_a_restart(database_url: str, vendor: Vendor) -> None:
    to = new_number()
    async with serving(database_url, vendor) as service:
        first = await keyed(service.api, '"k"', to)
        assert first[0] == 201
        assert await keyed(service.api, "k", to) == first, "quoted and bare are the same key"
        key = service.api.api_key
    async with serving(database_url, vendor) as service:
        again = Api(service.http, key)
        assert await keyed(again, "k", to) == first
        service.shift(86_500)
        service.vendor.recover()
        assert (await keyed(again, "k2", to))[1]["id"] != first[1]["id"]
    assert len(vendor.messages(to)) == 2


async def test_another_body_is_a_mismatch_and_another_client_has_its_own_keys(service: Service) -> None:
    assert (await keyed(service.api, "k", new_number()))[0] == 201
    status, body = await keyed(service.api, "k", new_number())
    assert (status, body["code"]) == (422, "idempotency_mismatch")
    other = await service.client("other")
    assert (await keyed(other, "k", new_number()))[0] == 201


async def test_a_repeated_check_spends_one_attempt_whatever_its_pin(service: Service) -> None:
    started = await service.api.start()
    pin = service.pin(started["to"])
    path = f"/v1/verifications/{started['id']}/checks"
    first = await service.api.call("POST", path, {"pin": wrong(pin)}, idempotency_key="c")
    again = await service.api.call("POST", path, {"pin": pin}, idempotency_key="c")
    assert first.json() == again.json()
    assert again.json()["result"] == "incorrect"
    assert (await service.api.read(started["id"]))["attempts_left"] == 4


async def test_refusals_are_not_kept(service: Service) -> None:
    to = new_number()
    service.vendor.fail("*", "refuse", times=3)
    assert (await keyed(service.api, "k", to))[0] == 502
    assert (await keyed(service.api, "k", to))[0] == 201


async def die_at_the_gateway(held: Held, request: Coroutine[Any, Any, Any]) -> None:
    """Ends a request whose message the gateway has, before the answer is known."""
    dying = asyncio.create_task(request)
    await held.done.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)


@pytest.mark.both_databases
async def test_a_request_without_an_answer_is_dead_after_twelve_seconds(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = new_number()
    await die_at_the_gateway(hold_next(service, monkeypatch, "pin"), keyed(service.api, "k", to))
    assert (await keyed(service.api, "k", to))[1]["code"] == "idempotency_in_progress"
    service.shift(12.1)
    status, body = await keyed(service.api, "k", to)
    assert (status, body["delivery"]["status"], body["to"]) == (201, "unknown", to)
    assert len(service.vendor.messages(to)) == 1


async def test_a_resend_that_died_is_answered_with_an_unknown_outcome(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor, {"purposes": {"signup": AT_ONCE}}) as service:
        started = await service.api.start()
        pin, path = service.pin(started["to"]), f"/v1/verifications/{started['id']}/resends"
        resend = service.api.call("POST", path, idempotency_key="r")
        await die_at_the_gateway(hold_next(service, monkeypatch, "pin"), resend)
        service.shift(12.1)
        again = await service.api.call("POST", path, idempotency_key="r")
        assert (again.status_code, again.json()["delivery"]["status"]) == (200, "unknown")
        assert again.json()["sends_left"] == 1
        assert len(vendor.messages(started["to"])) == 2
        assert await service.api.check(started["id"], pin) == "approved", "the earlier PIN counts"


async def test_a_request_that_died_before_it_counted_a_send_runs_anew(service: Service) -> None:
    to = new_number()
    body = {"to": to, "purpose": "signup"}
    fingerprint_of = json.dumps(["POST", "/v1/verifications", body], sort_keys=True).encode()
    client = await ApiKeyCache(service.ctx.database, service.ctx.clock).client_of(service.api.api_key)
    assert client is not None
    assert isinstance(
        await idempotency.begin(service.ctx, client.id, "k", fingerprint_of), idempotency.IdempotentRequest
    )
    assert (await keyed(service.api, "k", to))[0] == 409
    service.shift(12.1)
    assert (await keyed(service.api, "k", to))[0] == 201


@pytest.mark.both_databases
async def test_a_request_that_was_taken_over_stops_before_it_sends(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor) as service:
        to = new_number()
        preparing, go_on = asyncio.Event(), asyncio.Event()
        prepare = pin_delivery.prepare

        async def waiting(*args: Any) -> pin_message.RouteSend:
            preparing.set()
            await go_on.wait()
            return await prepare(*args)

        monkeypatch.setattr(pin_delivery, "prepare", waiting)
        slow = asyncio.create_task(keyed(service.api, "k", to))
        await preparing.wait()
        monkeypatch.setattr(pin_delivery, "prepare", prepare)
        service.shift(12.1)
        assert (await keyed(service.api, "k", to))[0] == 201
        go_on.set()
        status, body = await slow
        assert (status, body["code"]) == (409, "idempotency_in_progress")
        assert len(vendor.messages(to)) == 1


@pytest.mark.both_databases
async def test_a_check_that_was_taken_over_spends_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    started = await service.api.start()
    path, body = f"/v1/verifications/{started['id']}/checks", {"pin": wrong(service.pin(started["to"]))}
    waiting, go_on = asyncio.Event(), asyncio.Event()
    real = checks._check

    async def slow(*args: Any) -> checks.Checked:
        waiting.set()
        await go_on.wait()
        return await real(*args)

    monkeypatch.setattr(checks, "_check", slow)
    first = asyncio.create_task(service.api.call("POST", path, body, idempotency_key="c"))
    await waiting.wait()
    monkeypatch.setattr(checks, "_check", real)
    service.shift(12.1)
    assert (await service.api.call("POST", path, body, idempotency_key="c")).json()["result"] == "incorrect"
    go_on.set()
    assert (await first).json()["code"] == "idempotency_in_progress"
    assert (await service.api.read(started["id"]))["attempts_left"] == 4


async def test_what_is_saved_tells_no_number_without_the_keys(service: Service) -> None:
    to = new_number()
    assert (await keyed(service.api, "k", to))[0] == 201
    rows = await service.ctx.database.read(lambda tx: tx.execute(requests.select()).all())
    assert to[1:] not in str(rows)
