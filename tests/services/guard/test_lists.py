"""Prefixes that an operator always or never lets through, and what a reset forgets."""

import pytest
import sqlalchemy as sa

from otp_service.services.guard import lists
from otp_service.services.guard.for_operator import counter_reset
from otp_service.storage.tables import guard_audit
from tests.services.guard.support import new_range, pump, start, watch_once
from tests.support.service import Service, new_number


async def put(service: Service, prefix: str, verdict: str, until: float | None = None) -> None:
    ctx = service.ctx
    await lists.put(ctx.database, ctx.clock, prefix, verdict, until=until, note=None)
    await watch_once(service)


async def test_a_denied_prefix_gets_nothing_and_the_longest_prefix_counts(service: Service) -> None:
    await put(service, "+57300", lists.DENY)
    denied = await start(service, new_number())
    assert (denied.status_code, denied.json()["code"]) == (403, "blocked")
    exempt = new_number()
    await put(service, exempt, lists.ALLOW)
    assert (await start(service, exempt)).status_code == 201


async def test_an_allowed_prefix_is_never_blocked(service: Service) -> None:
    prefix = new_range()
    await put(service, prefix, lists.ALLOW)
    assert {answer.status_code for answer in await pump(service, prefix)} == {201}


async def test_an_entry_ends_at_its_time(service: Service) -> None:
    await put(service, "+57300", lists.DENY, until=service.ctx.clock.now() + 60)
    assert (await start(service, new_number())).status_code == 403
    service.shift(61)
    assert (await start(service, new_number())).status_code == 201


@pytest.mark.both_databases
async def test_what_an_operator_forgets_no_longer_counts_and_the_audit_keeps_it(service: Service) -> None:
    ctx = service.ctx
    await put(service, "+57300", lists.DENY)
    assert await lists.remove(ctx.database, ctx.clock, "+57300")
    assert not await lists.remove(ctx.database, ctx.clock, "+57300")
    await watch_once(service)
    assert (await start(service, new_number())).status_code == 201
    rows = await ctx.database.read(lambda tx: tx.execute(sa.select(guard_audit)).all())
    assert [(row.action, row.target) for row in rows] == [("deny", "+57300"), ("forget", "+57300")]


@pytest.mark.both_databases
async def test_a_reset_forgets_what_is_held_against_a_prefix_or_a_client(service: Service) -> None:
    ctx, prefix = service.ctx, new_range()
    assert (await pump(service, prefix))[-1].status_code == 403
    elsewhere = await counter_reset.reset(ctx.database, ctx.clock, prefix="+5730")
    assert elsewhere == 0
    assert (await start(service, f"{prefix}9999")).status_code == 403
    assert await counter_reset.reset(ctx.database, ctx.clock, prefix=f"{prefix}99") > 0
    assert (await start(service, f"{prefix}9999")).status_code == 201
