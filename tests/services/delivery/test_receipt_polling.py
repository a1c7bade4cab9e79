"""Asking the gateway what became of a message: when, how often, and what an answer must be to count."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from otp_service.gateways.base import Message
from otp_service.services.delivery import receipts
from otp_service.services.notifications import outbox
from otp_service.storage import tables
from otp_service.storage.verifications import receipts as stored
from tests.support.patience import PATIENCE
from tests.support.receipts import BY_SMS, config
from tests.support.service import Service, new_number, serving
from tests.support.vendor import Vendor

pytestmark = pytest.mark.usefixtures("stopped_clock")
ASKS = (10, 60, 600, 3600, 21600)
COUNT = 12
"""More than one process asks for at once."""
METHOD = {"pin": "messageReport", "sms": "getMessage", "mt": "messageReport"}


def reads(method: str, result: str = "ok") -> float:
    """How often a method was called."""
    return REGISTRY.get_sample_value("otp_gateway_reads_total", {"method": method, "result": result}) or 0.0


async def shown(service: Service, started: dict[str, Any]) -> str:
    return str((await service.api.read(started["id"]))["delivery"]["status"])


@pytest.mark.parametrize("route", [*METHOD])
async def test_a_message_is_asked_for_until_its_fate_is_known(database_url: str, vendor: Vendor, route: str) -> None:
    async with serving(database_url, vendor, config(routes=[route])) as service:
        started = await service.api.start()
        before = reads(METHOD[route])
        await receipts.poll(service.ctx)
        assert reads(METHOD[route]) == before, "it is too early"
        service.shift(10)
        await receipts.poll(service.ctx)
        assert (reads(METHOD[route]) - before, await shown(service, started)) == (1, "sent")
        vendor.set_status(started["to"], "DELIVERED_TO_DEVICE")
        await receipts.poll(service.ctx)
        assert await shown(service, started) == "sent"
        service.shift(50)
        await receipts.poll(service.ctx)
        assert await shown(service, started) == "delivered"
        assert await left(service) == 0


async def left(service: Service) -> int:
    """How many messages are still to be asked for."""
    waiting = sa.select(sa.func.count()).select_from(tables.sends).where(tables.sends.c.poll_at.is_not(None))
    return await service.ctx.database.read(lambda tx: tx.execute(waiting).scalar_one())


async def test_it_is_asked_at_the_times_of_the_policy_and_never_after(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        await service.api.start()
        before, since = reads("getMessage"), 0
        for count, after in enumerate(ASKS, 1):
            service.shift(after - since - 1)
            await receipts.poll(service.ctx)
            assert reads("getMessage") - before == count - 1
            service.shift(1)
            await receipts.poll(service.ctx)
            await receipts.poll(service.ctx)
            assert reads("getMessage") - before == count
            since = after
        assert await left(service) == 0


async def test_a_policy_without_times_never_asks(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {**BY_SMS, "receipts": {"poll_after": []}}) as service:
        await service.api.start()
        assert await left(service) == 0


@pytest.mark.parametrize("fault", ["http_503", "bad_signature", "malformed", "hang"])
async def test_a_gateway_that_does_not_answer_is_asked_again_later(
    database_url: str, vendor: Vendor, fault: str
) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        started = await service.api.start()
        vendor.set_status(started["to"], "UNDELIV")
        vendor.fail("message", fault, times=None)
        service.shift(10)
        timeout = 0.5 if fault == "hang" else PATIENCE
        await receipts.poll(replace(service.ctx, gateway_timeout=timeout))
        assert await shown(service, started) == "sent"
        vendor.recover()
        service.shift(50)
        await receipts.poll(service.ctx)
        assert await shown(service, started) == "undelivered"


@pytest.mark.parametrize("route", ["pin", "mt"])
async def test_of_two_messages_in_a_report_neither_is_known(database_url: str, vendor: Vendor, route: str) -> None:
    async with serving(database_url, vendor, config(routes=[route])) as service:
        started = await service.api.start()
        assert (await service.api.resend(started["id"])).status_code == 200
        vendor.set_status(started["to"], "DELIVRD")
        service.shift(10)
        await receipts.poll(service.ctx)
        assert await shown(service, started) == "sent"


async def test_a_report_with_a_message_that_is_not_ours_is_uncertain(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(routes=["mt"])) as service:
        started = await service.api.start()
        vendor.set_status(started["to"], "DELIVRD")
        text = vendor.messages(started["to"])[0]["text"]
        await service.ctx.gateway.send_mt(Message(started["to"], text), 5)
        service.shift(10)
        await receipts.poll(service.ctx)
        assert await shown(service, started) == "sent"


async def test_a_notification_is_asked_for_by_its_id(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        to = new_number()
        answer = await service.api.call("POST", "/v1/notifications", {"to": to, "text": "Your parcel is here"})
        await outbox.work(service.ctx)
        vendor.set_status(to, "READ")
        service.shift(10)
        await receipts.poll(service.ctx)
        read = await service.api.call("GET", f"/v1/notifications/{answer.json()['id']}")
        assert read.json()["status"] == "delivered"


async def test_replicas_share_what_is_due(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        for _ in range(COUNT):
            await service.api.start()
        service.shift(10)
        before = reads("getMessage")
        await asyncio.gather(*(receipts.poll(service.ctx) for _ in range(2)))
        assert reads("getMessage") - before == COUNT
        service.shift(50)
        claims = [service.ctx.database.write(lambda tx: _claim(service, tx)) for _ in range(4)]
        claimed = [row for rows in await asyncio.gather(*claims) for row in rows]
        assert len({row.message_sealed for row in claimed}) == len(claimed) == COUNT


def _claim(service: Service, tx: sa.Connection) -> list[Any]:
    return list(stored.claim(tx, service.ctx.clock.now(), poll_after=ASKS, limit=5))


async def test_who_has_nothing_to_ask_does_not_write(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        await service.api.start()
        monkeypatch.setattr(service.ctx.database, "write", None)
        await receipts.poll(service.ctx)
