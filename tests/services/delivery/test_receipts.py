"""Receipts: what they show, that their order never matters, and all that they never touch."""

import asyncio
import itertools
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from sqlalchemy.engine import Connection

from otp_service.gateways.base import Receipt
from otp_service.services.delivery import message_ids, receipts
from otp_service.services.notifications import outbox
from otp_service.storage import tables
from otp_service.storage.verifications import receipts as storage
from otp_service.vault import generate_key_entry
from tests.support.patience import PATIENCE
from tests.support.receipts import BY_SMS, config, receipt_of, tell
from tests.support.service import SECRET_KEYS, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

WORDS = {
    "SENT": "sent", "SENDING": "sent", "PENDING": "sent", "ACCEPTD": "sent", "BUFFRED": "sent",
    "SENT_TO_CARRIER": "sent", "SENT_TO_DEVICE": "sent", "DELIVERED_TO_CARRIER": "sent", "DELIVERED TO CARRIER": "sent",
    "DELIVERED_TO_DEVICE": "delivered", "DELIVRD": "delivered", "READ": "delivered", "read": "delivered",
    "DELETED": "undelivered", "EXPIRED": "undelivered", "UNDELIV": "undelivered", "UNDELIVERED": "undelivered",
    "UNREACHABLE": "undelivered", "BAD ADDRESS": "failed", "BAD_CARRIER/FROM": "failed", "BAD_ENCODING": "failed",
    "BAD_FROM": "failed", "BAD_TIMEZONE": "failed", "BAD_TO": "failed", "INVALID ROUTING": "failed",
    "NOT_ENOUGH_FUNDS": "failed", "NOT_SENT": "failed", "REJECTD": "failed", "CARRIER GATEWAY ERROR": "sent",
    "INTERNAL ERROR (retry)": "sent", "SOMETHING NEW": "sent",
    "DELIVERED": "delivered", "delivered": "delivered", "REJECTED": "failed", "Failed": "failed",
}  # fmt: skip
FINAL = ("failed", "undelivered", "delivered")
MOVED = {
    "verifications": {"delivery_status"},
    "sends": {"receipt", "poll_at", "message_sealed", "message_digest"},
    "notifications": {"status", "reason", "poll_at", "message_sealed"},
}
"""The columns that a receipt may move."""


async def shown(service: Service, started: dict[str, Any]) -> str:
    """The delivery of a verification as it is now."""
    return str((await service.api.read(started["id"]))["delivery"]["status"])


async def rows(service: Service) -> dict[str, list[Any]]:
    """Every table, without what a receipt may move and without the notes of receipts."""
    return await service.ctx.database.read(
        lambda tx: {table.name: list(tx.execute(_untouched(table)).all()) for table in tables.metadata.sorted_tables}
    )


def _untouched(table: sa.Table) -> sa.Select[Any]:
    columns = [column for column in table.c if column.name not in MOVED.get(table.name, ())]
    statement = sa.select(*columns).order_by(*table.primary_key.columns)
    return statement.where(table.c.type != "receipt") if table is tables.events else statement


async def test_a_receipt_shows_on_its_verification_and_in_the_story(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        started = await service.api.start()
        await tell(service, started["to"], "DELIVERED_TO_DEVICE", times=3)
        read = await service.api.read(started["id"])
        assert read == {**started, "delivery": {**started["delivery"], "status": "delivered"}}
        noted = [event for event in await service.api.events(started["id"]) if event["type"] == "receipt"]
        assert [(event["route"], event["result"]) for event in noted] == [("sms", "delivered")]


async def test_every_word_of_the_vendor_ends_as_one_of_ours(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        for word, status in WORDS.items():
            started = await service.api.start()
            await tell(service, started["to"], word)
            assert await shown(service, started) == status, word


async def test_the_order_of_receipts_never_matters(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        for order in itertools.permutations(status for status in receipts.RANKS if status != "sent"):
            started = await service.api.start()
            message_id = receipt_of(vendor, started["to"], "SENT").message_id
            for count, status in enumerate(order, 1):
                for each in (status, "sent", status):
                    await receipts.record(service.ctx, Receipt(message_id, each), "callback")
                assert await shown(service, started) == max(("sent", *order[:count]), key=receipts.RANKS.index)


async def test_receipts_at_once_end_as_those_in_turn(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        for _ in range(5):
            started = await service.api.start()
            message_id = receipt_of(vendor, started["to"], "SENT").message_id
            said = [Receipt(message_id, status) for status in receipts.RANKS] * 4
            checks = [service.api.check(started["id"], wrong(service.pin(started["to"]))) for _ in range(3)]
            await asyncio.gather(*(receipts.record(service.ctx, each, "callback") for each in said), *checks)
            assert await shown(service, started) == "delivered"
            noted = [event["result"] for event in await service.api.events(started["id"]) if event["type"] == "receipt"]
            assert noted == sorted(set(noted), key=receipts.RANKS.index), "each raised what was known before it"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_receipt_that_waited_for_another_is_shown_after_it(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, waits, may = storage.lock_verification, asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def lock_late(tx: Connection, verification_id: str) -> None:
        monkeypatch.setattr(storage, "lock_verification", lock)
        loop.call_soon_threadsafe(waits.set)
        assert may.wait(PATIENCE)
        lock(tx, verification_id)

    async with serving(database_url, vendor, BY_SMS) as service:
        started = await service.api.start()
        message_id = receipt_of(vendor, started["to"], "SENT").message_id
        monkeypatch.setattr(storage, "lock_verification", lock_late)
        second = asyncio.create_task(receipts.record(service.ctx, Receipt(message_id, "delivered"), "callback"))
        await waits.wait()
        await receipts.record(service.ctx, Receipt(message_id, "failed"), "callback")
        may.set()
        await second
        noted = [event["result"] for event in await service.api.events(started["id"]) if event["type"] == "receipt"]
        assert noted == ["failed", "delivered"]


async def test_a_final_receipt_ends_the_asking_and_forgets_the_id(database_url: str, vendor: Vendor) -> None:
    columns = sa.select(tables.sends.c.receipt, tables.sends.c.poll_at, tables.sends.c.message_sealed)
    async with serving(database_url, vendor, BY_SMS) as service:
        started = await service.api.start()
        await tell(service, started["to"], "SENT_TO_CARRIER")
        waiting = await service.ctx.database.read(lambda tx: tx.execute(columns).one())
        assert None not in (waiting.poll_at, waiting.message_sealed)
        await tell(service, started["to"], "UNDELIV")
        assert await service.ctx.database.read(lambda tx: tuple(tx.execute(columns).one())) == (
            "undelivered",
            None,
            None,
        )


async def test_a_message_of_unknown_outcome_can_turn_out_to_be_delivered(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(routes=["sms"]), ogangi_timeout=2.0) as service:
        vendor.fail("sms", "unknown")
        started = await service.api.start()
        assert started["delivery"]["status"] == "unknown"
        await tell(service, started["to"], "SOMETHING NEW")
        assert await shown(service, started) == "unknown"
        await tell(service, started["to"], "SENT_TO_CARRIER")
        assert await shown(service, started) == "sent"
        await tell(service, started["to"], "DELIVRD")
        assert await shown(service, started) == "delivered"
        assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"


async def test_a_receipt_of_an_older_message_does_not_hide_the_newest(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        started = await service.api.start()
        first = receipt_of(vendor, started["to"], "DELIVRD")
        assert (await service.api.resend(started["id"])).status_code == 200
        await receipts.record(service.ctx, first, "callback")
        assert await shown(service, started) == "sent"
        await tell(service, started["to"], "EXPIRED")
        assert await shown(service, started) == "undelivered"
        noted = [event["result"] for event in await service.api.events(started["id"]) if event["type"] == "receipt"]
        assert noted == ["delivered", "undelivered"]


async def test_a_message_that_was_refused_is_not_the_newest(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS) as service:
        started = await service.api.start()
        vendor.fail("sms", "refuse")
        assert (await service.api.resend(started["id"])).status_code == 502
        await tell(service, started["to"], "DELIVRD")
        assert await shown(service, started) == "delivered"


async def test_no_storm_of_receipts_touches_anything_but_what_is_shown(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        started, to = await service.api.start(), new_number()
        await service.api.check(started["id"], wrong(service.pin(started["to"])))
        notified = await service.api.call("POST", "/v1/notifications", {"to": to, "text": "Your parcel is here"})
        assert notified.status_code == 202
        await outbox.work(service.ctx)
        before = await rows(service)
        true = [receipt_of(vendor, each, "SENT") for each in (started["to"], to)]
        for status in (*receipts.RANKS, *reversed(receipts.RANKS), *receipts.RANKS):
            for receipt in true:
                await receipts.record(
                    service.ctx, Receipt(receipt.message_id, status, receipt.to, receipt.text), "callback"
                )
            await receipts.record(service.ctx, Receipt(f"-{status}", status, started["to"], true[0].text), "poll")
            await receipts.record(service.ctx, Receipt("-1", status, new_number(), "PIN: 123456"), "callback")
        assert await rows(service) == before
        assert await shown(service, started) == "delivered"
        assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"


async def test_a_receipt_of_a_notification_is_its_status(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        for status in FINAL:
            to = new_number()
            answer = await service.api.call("POST", "/v1/notifications", {"to": to, "text": "Your parcel is here"})
            await outbox.work(service.ctx)
            message_id = receipt_of(vendor, to, "SENT").message_id
            for each in ("sent", "unknown", status, "unknown", status):
                await receipts.record(service.ctx, Receipt(message_id, each), "callback")  # type: ignore[arg-type]
            read = await service.api.call("GET", f"/v1/notifications/{answer.json()['id']}")
            assert read.json()["status"] == status


async def test_a_receipt_that_comes_before_its_message_is_dropped_and_polling_brings_it(
    database_url: str, vendor: Vendor
) -> None:
    def unmatched() -> float:
        return REGISTRY.get_sample_value("otp_receipts_total", {"status": "unmatched", "source": "callback"}) or 0.0

    async with serving(database_url, vendor, BY_SMS) as service:
        before = unmatched()
        await receipts.record(service.ctx, Receipt("-17", "delivered"), "callback")
        assert unmatched() == before + 1
        started = await service.api.start()
        vendor.set_status(started["to"], "DELIVERED")
        service.shift(10)
        await receipts.poll(service.ctx)
        assert await shown(service, started) == "delivered"


@pytest.mark.parametrize(("stored", "called"), [("2F1C-AB", "2f1c-ab"), ("2f1c-ab", "2F1C-AB")])
async def test_an_id_in_another_case_is_the_same_id(migrated: str, vendor: Vendor, stored: str, called: str) -> None:
    async with serving(migrated, vendor, BY_SMS) as service:
        started = await service.api.start()
        identified = sa.update(tables.sends).values(message_ids.columns_of(service.ctx.vault, stored))
        await service.ctx.database.write(lambda tx: tx.execute(identified))
        await receipts.record(service.ctx, Receipt(called, "delivered"), "callback")
        assert await shown(service, started) == "delivered"


@pytest.mark.parametrize("keys", ["old key kept", "old key gone"])
async def test_an_id_is_found_under_every_key(database_url: str, vendor: Vendor, keys: str) -> None:
    kept = keys == "old key kept"
    async with serving(database_url, vendor, BY_SMS) as service:
        started = await service.api.start()
    receipt = receipt_of(vendor, started["to"], "DELIVRD")
    entries = [generate_key_entry(), *([SECRET_KEYS] if kept else [])]
    async with serving(database_url, vendor, BY_SMS, secret_keys=",".join(entries)) as service:
        await receipts.record(service.ctx, Receipt(receipt.message_id, receipt.status), "callback")
        column = sa.select(tables.verifications.c.delivery_status)
        assert await service.ctx.database.read(lambda tx: tx.scalar(column)) == ("delivered" if kept else "sent")
