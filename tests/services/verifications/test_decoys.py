"""Decoys: to the person like any verification, but nothing is sent and no check approves."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from otp_service.gateways.base import Outcome
from otp_service.hashing.queue import Kind
from otp_service.observability import metrics
from otp_service.services.delivery import receipts
from otp_service.services.delivery.decoys import KEPT, TYPICAL, RecentSend, RecentSends
from otp_service.storage.tables import sends, verifications
from tests.support.patience import until
from tests.support.people import begin, texts
from tests.support.receipts import tell
from tests.support.service import AT_ONCE, NO_LIMITS, Service, new_number, serving
from tests.support.vendor import Vendor

SOON = RecentSend(0.01, "pin", Outcome.ACCEPTED, "ok")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otp_service.services.delivery.decoys.TYPICAL", SOON)


def config(**signup: Any) -> dict[str, Any]:
    return {"limits": NO_LIMITS, "purposes": {"signup": {**AT_ONCE, **signup}}}


async def decoy(service: Service, **fields: Any) -> dict[str, Any]:
    """Starts one; without `to` it has no number."""
    body = {"purpose": "signup", "decoy": True, **fields}
    answer = await service.api.call("POST", "/v1/verifications", body)
    assert answer.status_code == 201, answer.text
    started: dict[str, Any] = answer.json()
    return started


def shape(verification: dict[str, Any]) -> dict[str, Any]:
    """What does not differ between two verifications of two people."""
    own = {"id", "to", "created_at", "expires_at", "resend_at", "delivery"}
    alike = {name: value for name, value in verification.items() if name not in own}
    sent_at = verification["delivery"]["sent_at"] is not None
    waits = verification["resend_at"] is not None
    return {
        **alike,
        "fields": list(verification),
        "delivery": {**verification["delivery"], "sent_at": sent_at},
        "w": waits,
    }


async def test_readyz_is_the_same_after_a_decoy_and_after_a_real_start(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(routes=["sms", "mt"])) as service:
        shown = [(await service.http.get("/readyz")).json()]
        await decoy(service)
        shown.append((await service.http.get("/readyz")).json())
        for fault in (None, "refuse", "message_failed", "http_503"):
            if fault is not None:
                vendor.fail("*", fault)
            await service.api.try_start(new_number())
            shown.append((await service.http.get("/readyz")).json())
        assert all(each == shown[0] for each in shown)


def headers(answer: Any) -> list[str]:
    return sorted(answer.headers)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("route", ["pin", *(pytest.param(route, marks=pytest.mark.long) for route in ("sms", "mt"))])
async def test_a_decoy_answers_like_a_real_verification_until_it_is_exhausted(
    database_url: str, vendor: Vendor, numbered: bool, route: str
) -> None:
    async with serving(database_url, vendor, config(routes=[route])) as service:
        to, api = new_number(), service.api
        real_body = {"to": new_number(), "purpose": "signup"}
        body = {"purpose": "signup", "decoy": True, **({"to": to} if numbered else {})}
        real = await api.call("POST", "/v1/verifications", real_body)
        fake = await api.call("POST", "/v1/verifications", body)
        assert (fake.status_code, headers(fake)) == (real.status_code, headers(real))
        assert shape(fake.json()) == shape(real.json())
        assert fake.json()["to"] == (to if numbered else None)
        ids = real.json()["id"], fake.json()["id"]
        for call in ("resends", "checks", "resends", "resends", *["checks"] * 6):
            given = {"pin": "1234567" if service.pin(real_body["to"]) == "000000" else "000000"}
            answers = [
                await api.call("POST", f"/v1/verifications/{each}/{call}", given if call == "checks" else None)
                for each in ids
            ]
            assert answers[0].status_code == answers[1].status_code
            assert headers(answers[0]) == headers(answers[1])
            bodies = [answer.json() for answer in answers]
            if call == "checks":
                assert bodies[0]["result"] == bodies[1]["result"]
                bodies = [body["verification"] for body in bodies]
            if answers[0].status_code == 200:
                assert shape(bodies[0]) == shape(bodies[1])
            else:
                assert bodies[0]["code"] == bodies[1]["code"]
        real_story, fake_story = [await api.events(each) for each in ids]
        assert [list(event.values())[1:5] for event in real_story] == [
            list(event.values())[1:5] for event in fake_story
        ]
        assert vendor.messages(to) == []


@pytest.mark.both_databases
async def test_the_database_approves_no_decoy_even_with_the_hash_of_a_pin(service: Service) -> None:
    started = await decoy(service)
    copy = sa.select(sends.c.pepper_key, sends.c.pin_hash).order_by(sends.c.id.desc()).limit(1)
    assert (await service.ctx.database.read(lambda tx: tx.execute(copy).one())).pin_hash is not None

    async def right(*_: Any) -> bool:
        return True

    service.ctx.hasher.matches = right  # type: ignore[method-assign,assignment]
    assert await service.api.check(started["id"], "123456") != "approved"
    assert (await service.api.read(started["id"]))["status"] == "pending"


@pytest.mark.both_databases
async def test_a_decoy_spends_the_limits_of_its_number_like_a_real_start(database_url: str, vendor: Vendor) -> None:
    limits = {"limits": {"sends_per_number": "2/hour", "pause_per_number": 30, "sends_per_user_ip": ""}}
    async with serving(database_url, vendor, limits) as service:
        to = new_number()
        await decoy(service, to=to, session="a")
        paused = await service.api.try_start(to, session="b")
        assert paused.json()["limit"] == "pause_per_number"
        service.shift(31)
        await decoy(service, to=to, session="c")
        service.shift(31)
        refused = await service.api.try_start(to, session="d")
        assert refused.json()["limit"] == "sends_per_number"


@pytest.mark.both_databases
async def test_without_a_number_the_subject_is_what_is_paused_limited_and_locked(
    database_url: str, vendor: Vendor
) -> None:
    limits = {"sends_per_number": "1/hour", "pause_per_number": 30, "failures_per_number": {"free": 2}}
    async with serving(database_url, vendor, {"limits": limits}) as service:
        started = await decoy(service, subject="u1")
        again = {"purpose": "signup", "decoy": True, "subject": "u1"}
        repeated = await service.api.call("POST", "/v1/verifications", again)
        assert (repeated.status_code, repeated.json()["id"]) == (200, started["id"])
        assert (await service.api.call("POST", "/v1/verifications", again | {"session": "x"})).status_code == 429
        await decoy(service, subject="u2")
        results = [await service.api.check(started["id"], "000000") for _ in range(3)]
        assert results == ["incorrect", "incorrect", "locked"]


@pytest.mark.parametrize("field", ["session", "session_challenge"])
async def test_a_decoy_without_number_and_subject_is_known_by_its_session(service: Service, field: str) -> None:
    given = {field: "s" * 43}
    started = await decoy(service, **given)
    body = {"purpose": "signup", "decoy": True, **given}
    repeated = await service.api.call("POST", "/v1/verifications", body)
    assert (repeated.status_code, repeated.json()["id"]) == (200, started["id"])


async def test_a_real_start_ends_a_pending_decoy_of_its_number_and_sends(service: Service) -> None:
    to = new_number()
    started = await decoy(service, to=to)
    service.shift(31)
    real = await service.api.start(to)
    assert real["id"] != started["id"]
    assert (await service.api.read(started["id"]))["reason"] == "superseded"
    assert await service.api.check(real["id"], service.pin(to)) == "approved"


async def test_a_text_from_the_number_approves_no_inbound_decoy(service: Service) -> None:
    to = new_number()
    await begin(service)
    started = await decoy(service, to=to, channel="inbound")
    await texts(service, to, started["inbound"]["text"])
    assert (await service.api.read(started["id"]))["status"] == "pending"
    assert (await decoy(service, channel="inbound"))["inbound"]["text"]


async def test_only_a_decoy_may_omit_the_number(service: Service) -> None:
    for more in ({}, {"decoy": False}, {"to": None}):
        answer = await service.api.call("POST", "/v1/verifications", {"purpose": "signup", **more})
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": "to", "detail": "Required."}]


async def test_a_repeated_idempotency_key_returns_the_decoy_again(service: Service) -> None:
    body = {"purpose": "signup", "decoy": True}
    answers = [await service.api.call("POST", "/v1/verifications", body, idempotency_key="k") for _ in range(2)]
    assert answers[0].json() == answers[1].json()


async def test_a_decoy_imitates_an_outage_but_no_message_that_the_gateway_rejected(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor, config()) as service:
        vendor.fail("*", "refuse", times=3)
        rejected = await service.api.try_start(new_number())
        assert (rejected.status_code, rejected.json()["code"]) == (502, "gateway_failed")
        assert (await decoy(service))["delivery"]["status"] == "sent"
        vendor.fail("pin", "unknown", times=3)
        for _ in range(3):
            assert (await service.api.start())["delivery"]["status"] == "unknown"
        fake = await decoy(service)
        assert fake["delivery"]["status"] == "unknown"
        assert await service.api.check(fake["id"], "000000") == "no_pin"


async def test_a_decoy_shows_a_receipt_once_real_messages_get_them(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(routes=["sms"])) as service:
        before = await decoy(service)
        service.shift(11)
        await receipts.poll(service.ctx)
        assert (await service.api.read(before["id"]))["delivery"]["status"] == "sent"
        to = new_number()
        await service.api.start(to)
        service.shift(2)
        await tell(service, to, "DELIVERED_TO_DEVICE")
        after = await decoy(service)
        service.shift(3)
        await receipts.poll(service.ctx)
        assert (await service.api.read(after["id"]))["delivery"]["status"] == "delivered"


async def test_a_decoy_is_no_candidate_for_a_receipt_without_an_id(service: Service) -> None:
    to = new_number()
    await decoy(service, to=to)
    service.shift(31)
    started = await service.api.start(to)
    await tell(service, to, "DELIVERED_TO_DEVICE")
    assert (await service.api.read(started["id"]))["delivery"]["status"] == "delivered"


async def test_metrics_count_decoys_apart(service: Service) -> None:
    def count(counter: Any, result: str) -> float:
        return float(counter.labels("signup", result)._value.get())

    before = count(metrics.STARTS, "started"), count(metrics.CHECKS, "incorrect")
    decoys = count(metrics.DECOY_STARTS, "started"), count(metrics.DECOY_CHECKS, "incorrect")
    await service.api.check((await decoy(service))["id"], "000000")
    assert (count(metrics.STARTS, "started"), count(metrics.CHECKS, "incorrect")) == before
    now = count(metrics.DECOY_STARTS, "started"), count(metrics.DECOY_CHECKS, "incorrect")
    assert now == (decoys[0] + 1, decoys[1] + 1)


async def test_a_waiting_decoy_holds_no_connection_and_no_place_of_a_hash(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otp_service.services.delivery.decoys.TYPICAL", RecentSend(8.0, "pin", Outcome.ACCEPTED, "ok"))
    async with serving(database_url, vendor, config()) as service:
        waiting = [asyncio.create_task(decoy(service, subject=str(each))) for each in range(40)]
        count = sa.select(sa.func.count()).select_from(verifications)

        async def all_wait_without_a_place() -> bool:
            rows = await service.ctx.database.read(lambda tx: tx.scalar(count))
            return rows == 40 and service.ctx.hasher.queue._queued[Kind.START].total() <= 1

        await until(all_wait_without_a_place)
        await service.ctx.database.write(lambda tx: tx.scalar(count))
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def test_before_the_first_real_message_the_time_is_typical() -> None:
    assert RecentSends().draw("signup").outcome is TYPICAL.outcome


def test_only_an_outage_is_imitated_until_a_message_is_accepted_again() -> None:
    recent = RecentSends()
    lost = RecentSend(6.0, "pin", Outcome.UNKNOWN, "timeout")
    rejected = RecentSend(0.2, "mt", Outcome.REFUSED, "error")
    for send in (rejected, rejected, rejected, rejected, lost, rejected, lost):
        recent.record("signup", send)
        assert recent.draw("signup").outcome is Outcome.ACCEPTED
    recent.record("login", lost)
    assert recent.draw("signup").outcome is Outcome.UNKNOWN
    recent.record("login", RecentSend(0.2, "pin", Outcome.ACCEPTED, "ok"))
    assert recent.draw("signup").outcome is Outcome.ACCEPTED


def test_drawn_times_are_those_of_the_newest_messages_of_the_purpose_else_of_all() -> None:
    recent = RecentSends()
    for seconds in (*[0.3] * KEPT, *[2.5] * KEPT):
        recent.draw("signup")
        recent.record("signup", RecentSend(seconds, "pin", Outcome.ACCEPTED, "ok"))
    assert {round(recent.draw(purpose).seconds) for purpose in ("signup", "login") for _ in range(KEPT)} <= {2, 3}
