"""How a send can go: accepted, refused for sure, unknown, on real HTTP."""

import asyncio
import sqlite3
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otp_service.database import sqlite_lock
from otp_service.database.engine import POSTGRES_CONNECTIONS
from otp_service.gateways.base import InboundMessage, Message, Sent
from otp_service.gateways.ogangi.client import OgangiGateway
from otp_service.services.inbound import reader
from otp_service.services.verifications.pin_messages import pin_delivery, pin_message
from otp_service.storage import tables
from tests.support.held import hold_next
from tests.support.patience import until
from tests.support.servers import running
from tests.support.service import AT_ONCE, NO_LIMITS, Service, new_number, serving
from tests.support.vendor import Vendor

PIN_METHOD, SMS_METHOD, MT_METHOD = "sendSMSPinMobileNumberConfirm", "sendSMS", "sendMT"
REFUSED = ["refuse", "bad_signature", "http_404", "http_503"]
UNKNOWN_PIN = [
    "unknown", "reset_after", "reset_before", "malformed", "html", "empty", "no_pin", "two_pins", "pin_elsewhere",
    "short_pin", "letters_pin", "doctype", "entity_bomb", "gzip_bomb", "huge", "deep", "utf16", "redirect",
]  # fmt: skip


def config(**signup: Any) -> dict[str, Any]:
    return {"limits": NO_LIMITS, "purposes": {"signup": {**AT_ONCE, **signup}}}


def methods(vendor: Vendor, to: str) -> list[str]:
    """The methods that delivered to a number, oldest first."""
    return [message["method"] for message in reversed(vendor.messages(to))]


@pytest.mark.parametrize("fault", REFUSED)
async def test_where_pin_is_refused_for_sure_our_own_goes_by_sms(service: Service, fault: str) -> None:
    service.vendor.fail("pin", fault)
    started = await service.api.start()
    assert started["delivery"]["status"] == "sent"
    assert started["delivery"]["route"] == "sms"
    assert methods(service.vendor, started["to"]) == [SMS_METHOD]
    sends = [event for event in await service.api.events(started["id"]) if event["type"] == "send"]
    assert [(send["route"], send["result"]) for send in sends] == [("pin", "refused"), ("sms", "accepted")]
    assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"


@pytest.mark.parametrize("fault", UNKNOWN_PIN)
async def test_an_unknown_outcome_of_pin_is_never_repeated_and_nothing_verifies(
    database_url: str, vendor: Vendor, fault: str
) -> None:
    async with serving(database_url, vendor, ogangi_timeout=3.0) as service:
        vendor.fail("pin", fault)
        to = new_number()
        answer = await service.api.try_start(to)
        assert answer.status_code == 201
        started = answer.json()
        assert started["status"] == "pending"
        assert started["delivery"]["status"] == "unknown"
        delivered = vendor.messages(to)
        assert len(delivered) <= 1
        for pin in {"123456", *(message["pin"] or "000000" for message in delivered)}:
            assert await service.api.check(started["id"], pin) == "no_pin"
        assert (await service.api.read(started["id"]))["attempts_left"] == 5
        resent = await service.api.resend(started["id"])
        assert resent.status_code == 200, "a resend is allowed at once"
        assert await service.api.check(started["id"], service.pin(to)) == "approved"


async def test_an_unknown_outcome_of_sms_leaves_a_pin_that_verifies(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(routes=["sms"])) as service:
        vendor.fail("sms", "unknown")
        started = await service.api.start()
        assert started["delivery"]["status"] == "unknown"
        assert len(vendor.messages(started["to"])) == 1
        assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"


async def test_where_every_route_is_refused_nothing_counts(database_url: str, vendor: Vendor) -> None:
    limits = {**NO_LIMITS, "sends_per_number": "1/hour", "pause_per_number": 30, "sends_per_client": "1/hour"}
    async with serving(database_url, vendor, {"limits": limits}) as service:
        to = new_number()
        vendor.fail("*", "refuse", times=3)
        refused = await service.api.try_start(to)
        assert (refused.status_code, refused.json()["code"]) == (502, "gateway_failed")
        assert vendor.messages(to) == []
        failed = await service.api.read(refused.json()["verification_id"])
        assert (failed["status"], failed["delivery"]["status"]) == ("failed", "failed")
        assert await service.api.check(failed["id"], "000000") == "no_pin"
        assert (await service.api.start(to))["status"] == "pending"


async def test_a_message_whose_own_status_is_a_failure_is_refused(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(routes=["sms", "mt"])) as service:
        vendor.fail("sms", "message_failed")
        started = await service.api.start()
        assert started["delivery"]["route"] == "mt"
        assert methods(vendor, started["to"]) == [MT_METHOD]
        assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"


async def test_without_a_carrier_only_routes_that_need_none_are_tried(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}, ogangi_carrier=None) as service:
        started = await service.api.start()
        assert methods(vendor, started["to"]) == [MT_METHOD]
        named = await service.api.start(carrier="Claro")
        assert methods(vendor, named["to"]) == [PIN_METHOD]
    async with serving(database_url, vendor, config(routes=["pin", "sms"]), ogangi_carrier=None) as service:
        refused = await service.api.try_start(new_number())
        assert (refused.status_code, refused.json()["code"]) == (502, "gateway_failed")


async def test_an_accepted_resend_retires_the_pin_before(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        started = await service.api.start()
        first = service.pin(started["to"])
        resent = (await service.api.resend(started["id"])).json()
        assert (resent["sends_left"], resent["attempts_left"]) == (1, 5)
        second = service.pin(started["to"])
        if first != second:
            assert await service.api.check(started["id"], first) == "incorrect"
        assert await service.api.check(started["id"], second) == "approved"


@pytest.mark.parametrize("live_pins", [2, 3])
async def test_live_pins_says_how_many_of_the_newest_count(database_url: str, vendor: Vendor, live_pins: int) -> None:
    async with serving(database_url, vendor, config(live_pins=live_pins, sends=4)) as service:
        started = await service.api.start()
        for _ in range(3):
            assert (await service.api.resend(started["id"])).status_code == 200
        pins = [message["pin"] for message in vendor.messages(started["to"])]
        live = set(pins[:live_pins])
        for pin in set(pins[live_pins:]) - live:
            assert await service.api.check(started["id"], pin) == "incorrect"
        assert await service.api.check(started["id"], pins[live_pins - 1]) == "approved"


@pytest.mark.parametrize(("fault", "status"), [("refuse", 502), ("unknown", 200), ("hang", 200)])
async def test_a_resend_that_is_not_accepted_leaves_the_earlier_pin(
    database_url: str, vendor: Vendor, fault: str, status: int
) -> None:
    timeout = 3.0 if fault == "hang" else 9.0
    async with serving(database_url, vendor, config(routes=["pin"]), ogangi_timeout=timeout) as service:
        started = await service.api.start()
        pin = service.pin(started["to"])
        vendor.fail("pin", fault)
        assert (await service.api.resend(started["id"])).status_code == status
        now = await service.api.read(started["id"])
        assert now["sends_left"] == (2 if fault == "refuse" else 1)
        assert now["delivery"]["status"] == ("sent" if fault == "refuse" else "unknown")
        assert await service.api.check(started["id"], pin) == "approved"


async def test_until_the_outcome_is_known_both_pins_verify(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor, config(routes=["sms"])) as service:
        for newest in (True, False):
            started = await service.api.start()
            old = service.pin(started["to"])
            held = hold_next(service, monkeypatch, "sms")
            resending = asyncio.create_task(service.api.resend(started["id"]))
            await held.done.wait()
            pin = service.pin(started["to"]) if newest else old
            assert await service.api.check(started["id"], pin) == "approved"
            held.go_on.set()
            await resending


async def test_calls_that_hang_end_by_their_deadline_and_checks_go_on(database_url: str, vendor: Vendor) -> None:
    # More than the database has connections, but few enough that all hang before the first one's timeout.
    at_once = 2 * POSTGRES_CONNECTIONS
    async with serving(database_url, vendor, config(), ogangi_timeout=9.0) as service:
        checked = await service.api.start()
        vendor.fail("pin", "hang", times=None)
        starts = [asyncio.create_task(service.api.try_start(new_number())) for _ in range(at_once)]
        await all_in_flight(service, at_once)
        assert await service.api.check(checked["id"], service.pin(checked["to"])) == "approved"
        assert not any(start.done() for start in starts), "the check did not wait for the gateway"
        answers = await asyncio.gather(*starts)
        assert {answer.json()["delivery"]["status"] for answer in answers} == {"unknown"}


async def all_in_flight(service: Service, count: int) -> None:
    """Waits until so many sends are at the gateway."""
    sends = sa.select(sa.func.count()).select_from(tables.sends).where(tables.sends.c.outcome.is_(None))

    async def are_in_flight() -> bool:
        return await service.ctx.database.read(lambda tx: tx.scalar(sends)) == count

    await until(are_in_flight)


def slowly_refusing(seconds: float, clock: SimpleNamespace, calls: list[str]) -> Starlette:
    """A gateway that refuses the PIN method after so many seconds of `clock` and hangs on all others."""

    async def answer(request: Request) -> Response:
        method = request.path_params["path"].split("/")[1]
        calls.append(method)
        if method == PIN_METHOD:
            clock.now += seconds
        else:
            await asyncio.sleep(3600)
        return Response("<status>ERROR</status><description>Internal error</description>")

    return Starlette(routes=[Route("/mmc/rest/api/{path:path}", answer)])


@pytest.mark.parametrize(("refused_after", "status"), [(6.5, 201), (8.6, 502)])
async def test_all_routes_together_keep_to_the_total_and_a_late_one_is_not_tried(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, refused_after: float, status: int
) -> None:
    clock = SimpleNamespace(now=0.0)
    clock_of_test = SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr(pin_message, "time", clock_of_test)
    monkeypatch.setattr(pin_delivery, "time", clock_of_test)
    calls: list[str] = []
    timeouts: list[float] = []
    send_sms = OgangiGateway.send_sms

    async def timed(gateway: OgangiGateway, message: Message, timeout: float) -> Sent:
        timeouts.append(timeout)
        return await send_sms(gateway, message, timeout)

    monkeypatch.setattr(OgangiGateway, "send_sms", timed)
    with running(slowly_refusing(refused_after, clock, calls)) as url:
        async with serving(database_url, vendor, ogangi_base_url=f"{url}/mmc", ogangi_timeout=9.0) as service:
            answer = await service.api.try_start(new_number())
    assert answer.status_code == status
    assert calls == ([PIN_METHOD, SMS_METHOD] if status == 201 else [PIN_METHOD])
    assert timeouts == ([pin_message.TOTAL_SECONDS - refused_after] if status == 201 else [])


async def test_the_first_route_too_is_not_tried_with_too_little_time_left(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pin_message, "TOTAL_SECONDS", 0.9)
    to = new_number()
    refused = await service.api.try_start(to)
    assert (refused.status_code, refused.json()["code"]) == (502, "gateway_failed")
    assert service.vendor.messages(to) == []
    (send,) = [
        event for event in await service.api.events(refused.json()["verification_id"]) if event["type"] == "send"
    ]
    assert (send["result"], send["detail"]) == ("refused", "no_time")


async def test_nothing_is_sent_where_nothing_listens(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, ogangi_base_url="http://127.0.0.1:1/mmc") as service:
        refused = await service.api.try_start(new_number())
        assert (refused.status_code, refused.json()["code"]) == (502, "gateway_failed")
        ready = (await service.http.get("/readyz")).json()
        assert ready["status"] == "ok"
        assert ready["gateway"]["status"] == "ok", "one message says nothing about the gateway"


async def test_no_further_route_goes_out_after_the_person_said_stop(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor, config(routes=["pin", "mt"])) as service:
        to = new_number()
        vendor.fail("pin", "refuse")
        held = hold_next(service, monkeypatch, "pin")
        starting = asyncio.create_task(service.api.try_start(to))
        await held.done.wait()
        await reader.on_text(service.ctx, InboundMessage(to, service.ctx.sender, "STOP"))
        held.go_on.set()
        refused = await starting
        assert (refused.status_code, refused.json()["code"]) == (403, "opted_out")
        assert vendor.messages(to) == []
        assert (await service.api.read(refused.json()["verification_id"]))["status"] == "failed"


async def test_the_pin_of_a_message_that_is_out_outlasts_a_moment_without_the_database(
    migrated: str, vendor: Vendor
) -> None:
    async with serving(migrated, vendor) as service:
        vendor.fail("pin", "slow", seconds=2)
        start = asyncio.create_task(service.api.start(to := new_number()))
        await vendor.delivered(to)
        with closing(sqlite3.connect(migrated.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.wait({start}, timeout=2 + 2 * sqlite_lock.WAIT_SECONDS)
            assert not start.done()
        started = await start
        assert started["delivery"]["status"] == "sent"
        assert await service.api.check(started["id"], service.pin(to)) == "approved"
        assert len(vendor.messages(to)) == 1
