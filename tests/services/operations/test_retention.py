"""What time does to what is kept: stuck sends, expiry, hashes, numbers, counters, audit."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from otp_service.observability import logs
from otp_service.services.operations import retention
from otp_service.storage import tables
from tests.support.service import NO_LIMITS, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

DAY = 86400


async def count(service: Service, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    statement = sa.select(sa.func.count()).select_from(table).where(*where)
    found: Any = await service.ctx.database.read(lambda tx: tx.scalar(statement))
    return int(found)


async def test_a_hash_goes_within_a_minute_of_the_end(service: Service) -> None:
    has_hash = tables.sends.c.pin_hash.is_not(None)
    approved, pending = await service.api.start(), await service.api.start()
    await service.api.check(approved["id"], service.pin(approved["to"]))
    assert await count(service, tables.sends, has_hash) == 2
    service.shift(60)
    await retention.sweep(service.ctx)
    assert await count(service, tables.sends, has_hash) == 1
    assert await service.api.check(pending["id"], service.pin(pending["to"])) == "approved"


@pytest.mark.both_databases
async def test_late_verifications_expire_and_stay_readable(service: Service) -> None:
    started = await service.api.start()
    service.shift(601)
    assert (await service.api.read(started["id"]))["status"] == "expired"
    assert await retention.sweep(service.ctx) == {"expired": 1, "limits": 1}
    shown = await service.api.read(started["id"])
    assert (shown["status"], shown["to"]) == ("expired", started["to"])
    story = await service.api.events(started["id"])
    assert story[-1]["type"] == "expired"
    assert story[-1]["at"] == started["expires_at"]


@pytest.mark.both_databases
async def test_a_number_goes_after_a_day_and_its_failures_go_on(service: Service) -> None:
    to = new_number()
    started = await service.api.start(to)
    for _ in range(5):
        await service.api.check(started["id"], wrong(service.pin(to)))
    service.shift(DAY + 601)
    await retention.sweep(service.ctx)
    assert (await service.api.read(started["id"]))["to"] is None
    assert await count(service, tables.numbers, tables.numbers.c.sealed.is_not(None)) == 0
    again = await service.api.start(to)
    pin = service.pin(to)
    for _ in range(5):
        assert await service.api.check(again["id"], wrong(pin)) == "incorrect"
    refused = await service.api.try_start(to)
    assert refused.json()["limit"] == "failures_per_number"
    assert (await service.api.read(started["id"]))["to"] is None, "the number that came back belongs to the newer one"


@pytest.mark.both_databases
async def test_counters_go_after_thirty_days_and_the_audit_after_a_year(service: Service) -> None:
    to = new_number()
    started = await service.api.start(to)
    await service.api.check(started["id"], wrong(service.pin(to)))
    service.shift(31 * DAY)
    await retention.sweep(service.ctx)
    await retention.sweep(service.ctx)
    for table in (tables.failures, tables.buckets, tables.numbers):
        assert await count(service, table) == 0
    masked: Any = await service.ctx.database.read(lambda tx: tx.scalar(sa.select(tables.verifications.c.number_masked)))
    assert masked.startswith("+57***")
    service.shift(335 * DAY)
    await retention.sweep(service.ctx)
    for table in (tables.verifications, tables.sends, tables.events):
        assert await count(service, table) == 0
    answer = await service.api.call("GET", f"/v1/verifications/{started['id']}")
    assert answer.status_code == 404


async def test_a_lock_outlives_the_retention_of_counters(database_url: str, vendor: Vendor) -> None:
    failures = {"free": 1, "lock_after": 1, "lock_for": 100 * DAY}
    config = {"limits": {**NO_LIMITS, "failures_per_number": failures}}
    async with serving(database_url, vendor, config) as service:
        to = new_number()
        started = await service.api.start(to)
        await service.api.check(started["id"], wrong(service.pin(to)))
        service.shift(99 * DAY)
        await retention.sweep(service.ctx)
        assert (await service.api.try_start(to)).json()["limit"] == "failures_per_number"


@pytest.mark.both_databases
async def test_a_send_whose_process_died_becomes_unknown_and_is_not_repeated(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as service:
        to = new_number()
        vendor.fail("pin", "slow", seconds=60)
        task = asyncio.create_task(service.api.try_start(to))
        await vendor.delivered(to)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        started = await service.api.start(to)
        assert started["delivery"]["status"] == "unknown"
        service.shift(16)
        assert (await retention.sweep(service.ctx))["stuck"] == 1
        story = await service.api.events(started["id"])
        assert [(event["result"], event["detail"]) for event in story if event["type"] == "send"] == [
            ("unknown", "abandoned")
        ]
        assert await service.api.check(started["id"], service.pin(to)) == "no_pin"
        assert len(vendor.messages(to)) == 1
        assert (await service.api.resend(started["id"])).status_code == 200


async def test_idempotency_keys_go_after_a_day(service: Service) -> None:
    body = {"to": new_number(), "purpose": "signup"}
    await service.api.call("POST", "/v1/verifications", body, idempotency_key="k")
    service.shift(DAY + 1)
    await retention.sweep(service.ctx)
    assert await count(service, tables.requests) == 0


async def test_after_a_restore_nothing_pending_revives(service: Service) -> None:
    started = await service.api.start()
    assert await retention.cancel_pending(service.ctx.database, service.ctx.clock, "restored") == 1
    shown = await service.api.read(started["id"])
    assert (shown["status"], shown["reason"]) == ("canceled", "restored")
    assert await service.api.check(started["id"], service.pin(started["to"])) == "canceled"


async def fill_a_limit(service: Service) -> None:
    """A row that the next sweep takes away."""
    row = {"key": "k", "arrival": service.ctx.clock.now() - 1, "interval": 1.0, "tolerance": 1.0}
    await service.ctx.database.write(lambda tx: tx.execute(sa.insert(tables.buckets).values(row)).rowcount)


@pytest.mark.both_databases
async def test_of_many_processes_one_sweeps_every_five_seconds(service: Service) -> None:
    for seconds_since, left in ((0, 0), (1, 1), (4, 0)):
        if await count(service, tables.buckets) == 0:
            await fill_a_limit(service)
        service.shift(seconds_since)
        await asyncio.gather(*(retention.round_of(service.ctx) for _ in range(4)))
        assert await count(service, tables.buckets) == left


async def test_the_log_has_a_sweep_at_debug_alone(service: Service) -> None:
    await fill_a_limit(service)
    logs.configure("debug", "json")
    with capture_logs() as lines:
        await retention.round_of(service.ctx)
    logs.configure("error", "json")
    assert [(line["log_level"], line["limits"]) for line in lines if line["event"] == "swept"] == [("debug", 1)]


async def test_many_rows_go_in_batches(service: Service) -> None:
    now = service.ctx.clock.now()
    rows = [{"key": f"k{n}", "arrival": now - 1, "interval": 1.0, "tolerance": 1.0} for n in range(1050)]
    await service.ctx.database.write(lambda tx: tx.execute(sa.insert(tables.buckets), rows).rowcount)
    assert await retention.round_of(service.ctx), "others have their turn before the rest"
    assert await count(service, tables.buckets) == 50
    assert not await retention.round_of(service.ctx)
    assert await count(service, tables.buckets) == 0
