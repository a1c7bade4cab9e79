"""Notifications: what is queued, what is refused, and what time does to them."""

import asyncio
import json
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.services.clients import idempotency
from otp_service.services.clients.clients import ApiKeyCache
from otp_service.services.notifications import notifications, outbox
from otp_service.storage import numbers, tables
from otp_service.storage.queues import notifications as queue
from tests.support.notifications import get, opt_out, post, row
from tests.support.service import Api, Service, new_number, serving
from tests.support.vendor import Vendor

TEMPLATES = {
    "order_sent": {
        "en": "Hi {name}, order {order} is on its way.",
        "es": "Hola {name}, tu pedido {order} va en camino.",
    },
    "plain": {"en": "We are back."},
}
CONFIG: dict[str, Any] = {"notifications": {"templates": TEMPLATES}}
n = tables.notifications.c


async def test_a_text_is_queued_and_sent(service: Service) -> None:
    to = new_number()
    queued = await post(service.api, to, text="Your table is ready.", reference="r-1")
    assert queued.pop("created_at")
    notification_id = queued.pop("id")
    assert queued == {
        "status": "queued",
        "reason": None,
        "to": to,
        "segments": 1,
        "template": None,
        "reference": "r-1",
        "sent_at": None,
        "route": None,
    }
    assert service.ctx.wakes.outbox.is_set()
    await outbox.work(service.ctx)
    assert [message["text"] for message in service.vendor.messages(to)] == ["Your table is ready."]
    sent = await get(service.api, notification_id)
    assert (sent["status"], sent["route"], sent["reason"], sent["to"]) == ("sent", "sms", None, to)
    assert sent["sent_at"] >= sent["created_at"]


async def test_a_template_is_filled_in_in_the_persons_language(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, CONFIG) as service:
        to, values = new_number(), {"name": "Ana {order}", "order": "#17"}
        for locale in ("es-CO", "fr", None):
            queued = await post(service.api, to, template="order_sent", values=values, locale=locale)
            assert queued["template"] == "order_sent"
            await outbox.work(service.ctx)
        await post(service.api, to, template="plain")
        await outbox.work(service.ctx)
    assert [message["text"] for message in reversed(vendor.messages(to))] == [
        "Hola Ana {order}, tu pedido #17 va en camino.",
        *["Hi Ana {order}, order #17 is on its way."] * 2,
        "We are back.",
    ]


async def test_a_number_that_opted_out_gets_nothing_until_that_is_lifted(service: Service) -> None:
    to = new_number()
    await opt_out(service, to)
    refused = await service.api.call("POST", "/v1/notifications", {"to": to, "text": "Hello"})
    assert (refused.status_code, refused.json()["code"]) == (403, "opted_out")
    await opt_out(service, to, opted_out=False)
    await post(service.api, to, text="Hello")


async def test_what_waits_for_a_number_fails_when_it_opts_out(service: Service) -> None:
    to, other = new_number(), new_number()
    waiting = [await post(service.api, to, text=f"{turn}") for turn in range(2)]
    elsewhere = await post(service.api, other, text="Hello")

    def step(tx: Connection) -> int:
        number_id = numbers.find_id(tx, service.ctx.vault, to)
        assert number_id is not None
        return queue.fail_queued(tx, number_id, reason="opted_out", now=service.ctx.clock.now())

    assert await service.ctx.database.write(step) == 2
    await outbox.work(service.ctx)
    assert service.vendor.messages(to) == []
    for each in waiting:
        assert (await get(service.api, each["id"]))["reason"] == "opted_out"
        assert (await row(service, each["id"])).text_sealed is None
    assert (await get(service.api, elsewhere["id"]))["status"] == "sent"


async def test_a_reply_of_our_own_is_sent_and_no_client_sees_it(service: Service) -> None:
    to, ctx = new_number(), service.ctx
    await post(service.api, to, text="Hello")

    def step(tx: Connection) -> str | None:
        number_id = numbers.find_id(tx, ctx.vault, to)
        assert number_id is not None
        notifications.queue_reply(tx, ctx, number_id=number_id, e164=to, text="STOP ends them.", now=ctx.clock.now())
        return tx.scalar(sa.select(n.id).where(n.client_id.is_(None)))

    reply = await ctx.database.write(step)
    await outbox.work(ctx)
    assert {message["text"] for message in service.vendor.messages(to)} == {"Hello", "STOP ends them."}
    assert (await service.api.call("GET", f"/v1/notifications/{reply}")).status_code == 404


async def test_the_limit_is_off_unless_set_and_holds_over_all_clients(database_url: str, vendor: Vendor) -> None:
    config = {"limits": {"notifications_per_number": "2/hour"}}
    async with serving(database_url, vendor, config) as service:
        to, other = new_number(), await service.client("other")
        await post(service.api, to, text="1")
        await post(other, to, text="2")
        refused = await service.api.call("POST", "/v1/notifications", {"to": to, "text": "3"})
        assert (refused.status_code, refused.json()["limit"]) == (429, "notifications_per_number")
        await post(service.api, new_number(), text="1")
        service.shift(1801)
        await post(service.api, to, text="3")


async def test_the_limit_of_a_client_counts_its_notifications_alone(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, {"limits": {"notifications_per_client": "2/hour"}}) as service:
        for _ in range(2):
            await post(service.api, new_number(), text="Hello")
        refused = await service.api.call("POST", "/v1/notifications", {"to": new_number(), "text": "Hello"})
        assert (refused.status_code, refused.json()["limit"]) == (429, "notifications_per_client")
        await service.api.start()
        await post(await service.client("other"), new_number(), text="Hello")


async def keyed(api: Api, to: str, text: str = "Hello") -> tuple[int, dict[str, Any]]:
    answer = await api.call("POST", "/v1/notifications", {"to": to, "text": text}, idempotency_key="k")
    return answer.status_code, answer.json()


async def test_the_same_key_many_times_at_once_queues_one_message(service: Service) -> None:
    to = new_number()
    answers = await asyncio.gather(*(keyed(service.api, to) for _ in range(10)))
    assert {status for status, _ in answers} <= {202, 409}
    again = await keyed(service.api, to)
    assert again in answers
    assert (await keyed(service.api, to, "Other"))[1]["code"] == "idempotency_mismatch"
    await outbox.work(service.ctx)
    assert len(service.vendor.messages(to)) == 1
    assert await keyed(service.api, to) == again, "the saved answer, not the newest state"


async def test_a_request_that_died_after_its_commit_is_answered_with_its_row(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    to = new_number()
    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "keep", dies)
        with pytest.raises(asyncio.CancelledError):
            await keyed(service.api, to)
    assert (await keyed(service.api, to))[1]["code"] == "idempotency_in_progress"
    await outbox.work(service.ctx)
    service.shift(12.1)
    status, body = await keyed(service.api, to)
    assert (status, body["status"], body["to"]) == (202, "sent", to)
    await outbox.work(service.ctx)
    assert len(service.vendor.messages(to)) == 1


async def test_a_request_that_was_taken_over_queues_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    to, real = new_number(), notifications.create
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> notifications.Notification:
        started.set()
        await go_on.wait()
        return await real(*args)

    monkeypatch.setattr(notifications, "create", slow)
    first = asyncio.create_task(keyed(service.api, to))
    await started.wait()
    monkeypatch.setattr(notifications, "create", real)
    service.shift(12.1)
    assert (await keyed(service.api, to))[0] == 202
    go_on.set()
    assert (await first)[1]["code"] == "idempotency_in_progress"
    await outbox.work(service.ctx)
    assert len(service.vendor.messages(to)) == 1


async def test_a_request_that_died_before_its_commit_runs_anew(service: Service) -> None:
    to = new_number()
    fingerprint_of = json.dumps(["POST", "/v1/notifications", {"to": to, "text": "Hello"}], sort_keys=True).encode()
    client = await ApiKeyCache(service.ctx.database, service.ctx.clock).client_of(service.api.api_key)
    assert client is not None
    assert isinstance(
        await idempotency.begin(service.ctx, client.id, "k", fingerprint_of), idempotency.IdempotentRequest
    )
    service.shift(12.1)
    assert (await keyed(service.api, to))[0] == 202
