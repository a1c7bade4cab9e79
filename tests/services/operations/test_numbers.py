"""One number is one row, whatever runs beside it, whatever key wrote it, however its country writes it now."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.engine import Database
from otp_service.gateways.base import Outcome, Sent
from otp_service.services.notifications import outbox
from otp_service.services.operations import renumbering, rotation
from otp_service.storage import numbers, tables
from otp_service.vault import generate_key_entry
from tests.support.held import hold_next
from tests.support.notifications import opt_out, post
from tests.support.people import opt_out as opted_out_by_client
from tests.support.people import rows, source_of, tells
from tests.support.service import NO_LIMITS, Api, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

OLD, NEW = generate_key_entry(), generate_key_entry()
CONFIG: dict[str, Any] = {"limits": {**NO_LIMITS, "failures_per_number": {"free": 3, "first_wait": 3600}}}
FORMER, PRESENT = "+22997123456", "+2290197123456"


async def count_rows(service: Service) -> int:
    statement = sa.select(sa.func.count()).select_from(tables.numbers)
    return await service.ctx.database.read(lambda tx: tx.execute(statement).scalar_one())


async def guess(api: Api, service: Service, to: str, count: int) -> None:
    started = await api.start(to)
    for _ in range(count):
        assert await api.check(started["id"], wrong(service.pin(to))) == "incorrect"
    await api.cancel(started["id"])


@contextmanager
def uncommitted(url: str, change: Callable[[Connection], object]) -> Iterator[threading.Event]:
    """Runs a change in another process's stead, which commits when the event is set."""
    database, commit, changed = Database(url, patient=True), threading.Event(), threading.Event()

    def step(tx: Connection) -> None:
        change(tx)
        changed.set()
        commit.wait(20)

    thread = threading.Thread(target=lambda: asyncio.run(database.write(step)))
    thread.start()
    assert changed.wait(20)
    try:
        yield commit
    finally:
        commit.set()
        thread.join()
        database.close()


async def start_beside(service: Service, api: Api, to: str, change: Callable[[Connection], object]) -> httpx.Response:
    """Returns the response to a start that waited for the commit of a change."""
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with uncommitted(service.settings.database_url, change) as commit:
        start = asyncio.create_task(api.try_start(to))
        while not await service.ctx.database.read(lambda tx: tx.scalar(waiting)):
            assert not start.done()
        commit.set()
        return await start


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_start_that_waits_for_rewrap_finds_the_row_of_its_number(database_url: str, vendor: Vendor) -> None:
    to = new_number()
    async with serving(database_url, vendor, CONFIG, secret_keys=OLD) as service:
        await guess(service.api, service, to, 2)
        key = service.api.api_key
    async with serving(database_url, vendor, CONFIG, secret_keys=f"{NEW},{OLD}") as service:
        api, vault = Api(service.http, key), service.ctx.vault
        await service.ctx.database.write(lambda tx: rotation._move_index(tx, vault))
        started = (await start_beside(service, api, to, lambda tx: rotation._rewrap_numbers(tx, vault, 0, 0.0))).json()
        assert await count_rows(service) == 1
        assert await api.check(started["id"], wrong(service.pin(to))) == "incorrect"
        assert await api.check(started["id"], service.pin(to)) == "locked", "two of before the rewrap and one now"
        await rotation.rewrap(service.ctx.database, service.ctx.vault, service.ctx.clock, lambda _: None)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_start_that_waits_for_renumber_finds_the_row_of_its_number(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, CONFIG) as service:
        await opt_out(service, FORMER)
        ((number_id, _),) = await service.ctx.database.read(lambda tx: numbers.list_readable(tx, after=0, limit=2))

        def renumber(tx: Connection) -> None:
            renumbering._renumber(tx, service.ctx.vault, [number_id], service.ctx.clock.now())

        refused = await start_beside(service, service.api, PRESENT, renumber)
        assert refused.json()["code"] == "opted_out"
        assert await count_rows(service) == 1


@pytest.mark.both_databases
async def test_rewrap_merges_two_rows_of_a_number_and_the_stricter_counts(database_url: str, vendor: Vendor) -> None:
    guessed_first, guessed_later, out_first, out_later = (new_number() for _ in range(4))
    async with serving(database_url, vendor, CONFIG, secret_keys=OLD) as service:
        await guess(service.api, service, guessed_first, 2)
        await guess(service.api, service, guessed_later, 1)
        await opt_out(service, out_first)
        await opt_out(service, out_later, opted_out=False)
        key = service.api.api_key
    async with serving(database_url, vendor, CONFIG, secret_keys=NEW) as service:
        await guess(Api(service.http, key), service, guessed_first, 1)
        await guess(Api(service.http, key), service, guessed_later, 2)
        await opt_out(service, out_first, opted_out=False)
        await opt_out(service, out_later)
        assert await count_rows(service) == 8
    async with serving(database_url, vendor, CONFIG, secret_keys=f"{NEW},{OLD}") as service:
        for moved in (4, 0):
            rewrapped = rotation.rewrap(service.ctx.database, service.ctx.vault, service.ctx.clock, lambda _: None)
            assert await rewrapped == moved
            assert await count_rows(service) == 4
        api = Api(service.http, key)
        for to in (guessed_first, guessed_later):
            await guess(api, service, to, 1)
            refused = await api.try_start(to)
            assert refused.json()["limit"] == "failures_per_number", "two under one key and one now"
        for to in (out_first, out_later):
            assert (await api.try_start(to)).json()["code"] == "opted_out"


async def test_what_is_kept_of_a_number_outlives_a_change_of_its_numbering_plan(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor, CONFIG) as service:
        await opt_out(service, FORMER)
        assert (await service.api.try_start(PRESENT)).json()["code"] == "opted_out"

        async def renumber(*, dry_run: bool = False) -> int:
            ctx, seen = service.ctx, list[int]()
            return await renumbering.renumber(ctx.database, ctx.vault, ctx.clock, seen.append, dry_run=dry_run)

        assert [await renumber(dry_run=True), await renumber(), await renumber()] == [1, 1, 0]
        assert await count_rows(service) == 1
        sealed = await service.ctx.database.read(lambda tx: tx.scalar(sa.select(tables.numbers.c.sealed)))
        assert numbers.open_number(service.ctx.vault, sealed) == PRESENT
        assert (await service.api.try_start(PRESENT)).json()["code"] == "opted_out"


async def merge(service: Service, *, keep: str, drop: str) -> None:
    """Merges the rows of two numbers, as if they were two forms of one."""

    def step(tx: Connection) -> None:
        kept, dropped = (numbers.find_id(tx, service.ctx.vault, each) for each in (keep, drop))
        assert kept is not None
        assert dropped is not None
        renumbering._merge(tx, keep=kept, drop=dropped, now=service.ctx.clock.now())

    await service.ctx.database.write(step)


@pytest.mark.both_databases
async def test_of_two_rows_of_a_number_more_wrong_checks_and_the_later_wait_count(
    database_url: str, vendor: Vendor
) -> None:
    columns = "client_id", "purpose", "checks", "waits_until", "last_at"
    kept = [("a", "login", 9, 10.0, 10.0), ("a", "signup", 1, 90.0, 90.0), ("b", "login", 2, 20.0, 20.0)]
    dropped = [("a", "login", 1, 90.0, 90.0), ("a", "signup", 9, 10.0, 10.0), ("c", "login", 3, 30.0, 30.0)]
    async with serving(database_url, vendor) as service:
        to, twin = new_number(), new_number()

        def step(tx: Connection) -> None:
            for e164, counts in ((to, kept), (twin, dropped)):
                number_id = numbers.upsert(tx, service.ctx.vault, e164, seen_until=0.0)
                values = [{"number_id": number_id, **dict(zip(columns, each, strict=True))} for each in counts]
                tx.execute(sa.insert(tables.failures), values)

        await service.ctx.database.write(step)
        await merge(service, keep=to, drop=twin)
        left = [tuple(row[name] for name in columns) for row in await rows(service, tables.failures)]
        assert left == [("a", "login", 9, 90.0, 90.0), ("a", "signup", 9, 90.0, 90.0), kept[2], dropped[2]]


@pytest.mark.both_databases
async def test_of_two_rows_of_a_number_the_emptier_limit_counts(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"limits": {**NO_LIMITS, "sends_per_number": "3/day"}}) as service:
        for counts in ((1, 3), (3, 1), (0, 3)):
            kept, dropped = new_number(), new_number()
            for to, count in zip((kept, dropped), counts, strict=True):
                await opt_out(service, to, opted_out=False)
                for _ in range(count):
                    await service.api.cancel((await service.api.start(to))["id"])
            await merge(service, keep=kept, drop=dropped)
            assert (await service.api.try_start(kept)).json()["limit"] == "sends_per_number"


@pytest.mark.both_databases
async def test_what_is_under_way_for_a_number_goes_on_after_its_row_was_merged(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        kept, dropped = new_number(), new_number()
        superseded = await service.api.start(dropped)
        started = await service.api.start(dropped, "login")
        pin = service.pin(dropped)
        current = await service.api.start(kept)
        await post(service.api, dropped, text="Hello")
        await merge(service, keep=kept, drop=dropped)

        assert (await service.api.read(superseded["id"]))["status"] == "canceled"
        assert (await service.api.read(current["id"]))["status"] == "pending"
        assert (await service.api.start(kept, "login"))["id"] == started["id"]
        assert await service.api.check(started["id"], pin) == "approved"
        await outbox.work(service.ctx)
        assert vendor.messages(kept)[0]["text"] == "Hello"


async def test_of_two_opt_outs_of_a_number_the_persons_own_counts(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as service:
        for own_is_kept in (True, False):
            own, other = new_number(), new_number()
            await opt_out(service, own)
            await opted_out_by_client(service.api, "add", other)
            kept, dropped = (own, other) if own_is_kept else (other, own)
            await merge(service, keep=kept, drop=dropped)
            assert await source_of(service, kept) == "user"


async def test_the_campaign_platform_is_told_of_an_opt_out_whose_row_was_merged(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor) as service:
        kept, dropped = new_number(), new_number()
        await opt_out(service, kept, opted_out=False)
        await opted_out_by_client(service.api, "add", dropped)
        await merge(service, keep=kept, drop=dropped)
        await tells(service)
        assert [(each["to"], each["text"]) for each in vendor.fired()] == [(kept, "STOP")]
        assert (await service.api.try_start(kept)).json()["code"] == "opted_out"


@pytest.mark.both_databases
async def test_an_approval_clears_the_failures_of_a_number_whose_row_was_merged_while_its_pin_was_compared(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        to, twin = new_number(), new_number()
        started = await service.api.start(to)
        await service.api.cancel((await service.api.start(twin))["id"])
        matches, compared, merged = service.ctx.hasher.matches, asyncio.Event(), asyncio.Event()

        async def held(*arguments: Any) -> bool:
            compared.set()
            await merged.wait()
            return await matches(*arguments)

        monkeypatch.setattr(service.ctx.hasher, "matches", held)
        check = asyncio.create_task(service.api.check(started["id"], service.pin(to)))
        await compared.wait()
        await merge(service, keep=twin, drop=to)
        merged.set()
        assert await check == "approved"
        assert await rows(service, tables.failures) == []


async def test_a_stop_counts_after_the_row_of_a_number_was_merged_while_its_message_was_in_flight(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"limits": NO_LIMITS, "purposes": {"signup": {"routes": ["pin", "mt"]}}}
    async with serving(database_url, vendor, config) as service:
        to, twin = new_number(), new_number()
        held = hold_next(service, monkeypatch, "pin", Sent(Outcome.REFUSED, "error"))
        start = asyncio.create_task(service.api.try_start(to))
        await held.done.wait()
        await opt_out(service, twin)

        await merge(service, keep=twin, drop=to)
        held.go_on.set()
        assert (await start).json()["code"] == "opted_out"
