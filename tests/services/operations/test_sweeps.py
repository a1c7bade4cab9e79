"""Sweeps are in nobody's way: small transactions, nothing that waits for them, and two at once share the work."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database import postgres
from otp_service.services.notifications import outbox
from otp_service.services.operations import retention
from otp_service.storage import sweeps, tables
from otp_service.storage.batches import BATCH
from otp_service.storage.factors import sweeps as factor_sweeps
from otp_service.storage.verifications import sends, verifications
from tests.services.operations.test_retention import DAY, count
from tests.support import old_rows
from tests.support.notifications import post
from tests.support.patience import PATIENCE
from tests.support.service import NO_LIMITS, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

OLD = 400
POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
OF_FACTORS = {"devices": OLD // 4, "subject_failures": OLD // 4, "idle_subjects": OLD // 4}
OF_GUARD = dict.fromkeys(
    ("guard_rows", "known_people", "ceilings", "guard_alarms", "guard_decisions", "guard_audit"), OLD // 2
)
KEPT = {"number": DAY, "counters": DAY, "audit": DAY}


@pytest.fixture
async def service(database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """Old rows, all of which are due in two days. PostgreSQL keeps what a test holds for as long as the test runs."""
    for limit in ("IDLE_SECONDS", "STATEMENT_SECONDS"):
        monkeypatch.setattr(postgres, limit, int(PATIENCE))
    async with serving(database_url, vendor, {"limits": NO_LIMITS, "retention": KEPT}) as running:
        database, now = running.ctx.database, running.ctx.clock.now()
        client_id = await database.read(lambda tx: str(tx.scalar(sa.select(tables.clients.c.id))))
        await asyncio.to_thread(old_rows.add, database.engine.url, client_id, now, 1, OLD, every=2)
        yield running


@contextmanager
def held(service: Service, work: Callable[[Connection], Any]) -> Iterator[Any]:
    """What `work` returns in a transaction that stays open for the block."""
    with service.ctx.database.engine.connect() as tx, tx.begin():
        yield work(tx)


async def at_once(service: Service) -> None:
    """Requests of all kinds, none of which may wait for what is held: it would get 503, since that lasts."""
    started = await service.api.start()
    pin = service.pin(started["to"])
    assert await service.api.check(started["id"], wrong(pin)) == "incorrect"
    assert (await service.api.events(started["id"]))[-1]["result"] == "incorrect"
    assert await service.api.check(started["id"], pin) == "approved"
    await post(service.api, new_number(), text="Hello")
    await outbox.work(service.ctx)


def a_batch_of_each(tx: Connection, now: float) -> list[int]:
    """How many rows each sweep changed."""
    return [
        sweeps.expire(tx, now),
        sweeps.wipe_hashes(tx, now),
        sweeps.wipe_number_of_verifications(tx, now),
        sweeps.wipe_number_of_notifications(tx, now),
        sweeps.wipe_numbers(tx, now, now),
        sweeps.purge_buckets(tx, now),
        sweeps.purge_failures(tx, now, now),
        sweeps.purge_campaign_messages(tx, now, now),
        sweeps.purge_requests(tx, now),
        sweeps.purge_audit(tx, now),
        sweeps.purge_notifications(tx, now),
        factor_sweeps.purge_devices(tx, now),
        factor_sweeps.purge_failures(tx, now, now),
        factor_sweeps.purge_idle(tx, now),
    ]


@POSTGRESQL
async def test_nothing_waits_for_a_batch(service: Service) -> None:
    late = await service.api.start()
    service.shift(2 * DAY)
    with held(service, lambda tx: a_batch_of_each(tx, service.ctx.clock.now())) as touched:
        assert min(touched) > 0
        await at_once(service)
        assert await service.api.check(late["id"], service.pin(late["to"])) == "expired"
        assert await retention.sweep(service.ctx)


@POSTGRESQL
async def test_a_batch_waits_for_nobody(service: Service) -> None:
    service.shift(2 * DAY)
    every_row = [sa.select(table).with_for_update() for table in (tables.verifications, tables.buckets, tables.numbers)]
    with held(service, lambda tx: [tx.execute(rows).all() for rows in every_row]):
        touched = await retention.sweep(service.ctx)
    due = dict.fromkeys(("failures", "requests", "notifications", "webhooks"), OLD // 2)
    due |= dict.fromkeys(("notifications_without_number", "campaign", "webhooks_without_number"), OLD // 4)
    assert touched == {**due, **OF_FACTORS, **OF_GUARD}


@pytest.mark.both_databases
async def test_two_at_once_share_the_work(service: Service) -> None:
    service.shift(2 * DAY)
    rounds = [await asyncio.gather(*[retention.sweep(service.ctx) for _ in range(2)]) for _ in range(2)]
    for name, table, due in (("audit", tables.verifications, OLD + OLD // 2), ("limits", tables.buckets, OLD // 2)):
        assert sum(touched.get(name, 0) for both in rounds for touched in both) == due
        assert await count(service, table) == 0


async def test_a_transaction_changes_few_rows(service: Service) -> None:
    service.shift(2 * DAY)
    changed: list[int] = []

    def executed(_: Any, cursor: Any, *__: Any) -> None:
        changed.append(cursor.rowcount)

    sa.event.listen(service.ctx.database.engine, "after_cursor_execute", executed)
    await retention.sweep(service.ctx)
    assert max(changed) == BATCH


@POSTGRESQL
async def test_a_send_that_ends_while_it_is_swept_keeps_its_outcome(service: Service) -> None:
    started = await service.api.start()
    s = tables.sends.c
    unfinished = sa.update(tables.sends).where(s.verification_id == started["id"]).values(outcome=None)
    send_id = await service.ctx.database.write(lambda tx: tx.execute(unfinished.returning(s.id)).scalar_one())
    service.shift(16)

    def ends(tx: Connection) -> None:
        now = service.ctx.clock.now()
        sends.finish(tx, send_id, outcome="accepted", reason="ok", now=now, pin_hash=None, awaited={})
        verifications.record_delivery(tx, started["id"], send_id, status="sent", route="pin", at=now, resend_at=None)

    with service.ctx.database.engine.connect() as tx, tx.begin():
        ends(tx)
        assert "stuck" not in await retention.sweep(service.ctx)
    assert (await service.api.read(started["id"]))["delivery"]["status"] == "sent"
    assert "stuck" not in await retention.sweep(service.ctx)
