"""A check that dies after it spent the last attempt leaves nothing pending."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.services.operations import retention
from otp_service.services.verifications import proofs
from otp_service.storage.tables import sends, verifications
from otp_service.storage.verifications import attempts, comparisons
from otp_service.storage.verifications.attempts import AttemptConditions, Spent
from otp_service.storage.verifications.endings import COMPARING_SECONDS
from otp_service.storage.verifications.sessions import Session
from tests.support.service import NO_LIMITS, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

CONFIG: dict[str, Any] = {"limits": NO_LIMITS, "purposes": {"signup": {"attempts": 2, "resend_after": [0]}}}


@pytest.fixture
async def service(database_url: str, vendor: Vendor) -> AsyncIterator[Service]:
    """Two attempts, no limits."""
    async with serving(database_url, vendor, CONFIG) as running:
        yield running


async def die_with_the_last_attempt(service: Service, started: dict[str, Any]) -> Spent:
    """One wrong check, and another that commits its attempt and is never heard of again."""
    assert await service.api.check(started["id"], wrong(service.pin(started["to"]))) == "incorrect"

    def spend(tx: Connection) -> Spent:
        client_id = str(tx.scalar(sa.select(verifications.c.client_id).where(verifications.c.id == started["id"])))
        matching = AttemptConditions(client_id, started["id"], 6, Session.of(client_id, None), None, None)
        spent = attempts.spend(tx, matching, now=service.ctx.clock.now(), wait_steps=())
        assert isinstance(spent, Spent)
        return spent

    return await service.ctx.database.write(spend)


async def approve(service: Service, verification_id: str, spent: Spent) -> bool:
    """Whether the comparison still counts when it turns out right."""

    def step(tx: Connection) -> bool:
        client_id = str(tx.scalar(sa.select(verifications.c.client_id).where(verifications.c.id == verification_id)))
        now = service.ctx.clock.now()
        proof = proofs.new_proof(service.ctx, spent.purpose, now)
        row = comparisons.approve(tx, verification_id, client_id=client_id, purpose=spent.purpose, proof=proof, now=now)
        return row is not None

    return await service.ctx.database.write(step)


@pytest.mark.usefixtures("stopped_clock")
async def test_it_is_pending_while_the_check_may_compare_and_exhausted_after(service: Service) -> None:
    api, to = service.api, new_number()
    started = await api.start(to)
    spent = await die_with_the_last_attempt(service, started)
    service.shift(COMPARING_SECONDS - 1)
    assert (await api.read(started["id"]))["status"] == "pending"
    assert (await api.try_start(to)).status_code == 200
    assert await api.check(started["id"], service.pin(to)) == "exhausted"

    service.shift(2)
    assert (await api.read(started["id"]))["status"] == "exhausted"
    assert (await api.events(started["id"]))[-1]["type"] == "exhausted"
    assert await api.check(started["id"], service.pin(to)) == "exhausted"
    assert (await api.resend(started["id"])).json()["code"] == "not_pending"
    assert (await api.cancel(started["id"])).json()["code"] == "not_pending"
    assert not await approve(service, started["id"], spent), "a final status stays"
    again = await api.try_start(to)
    assert (again.status_code, again.json()["status"]) == (201, "pending")
    assert (await api.read(started["id"]))["status"] == "exhausted"


@pytest.mark.usefixtures("stopped_clock")
async def test_a_comparison_in_time_still_approves(service: Service) -> None:
    started = await service.api.start()
    spent = await die_with_the_last_attempt(service, started)
    service.shift(COMPARING_SECONDS - 1)
    assert await approve(service, started["id"], spent)
    service.shift(COMPARING_SECONDS)
    assert (await service.api.read(started["id"]))["status"] == "approved"


async def test_the_sweep_writes_it_and_the_hash_is_wiped_a_minute_later(service: Service) -> None:
    started = await service.api.start()
    await die_with_the_last_attempt(service, started)
    service.shift(COMPARING_SECONDS + 1)
    assert (await retention.sweep(service.ctx))["exhausted"] == 1
    stored = sa.select(verifications.c.status, verifications.c.ended_at - verifications.c.spent_at)
    row = await service.ctx.database.read(
        lambda tx: tx.execute(stored.where(verifications.c.id == started["id"])).one()
    )
    assert (row[0], row[1]) == ("exhausted", pytest.approx(COMPARING_SECONDS))
    service.shift(62)
    await retention.sweep(service.ctx)
    live = sa.select(sa.func.count()).where(sends.c.verification_id == started["id"], sends.c.pin_hash.is_not(None))
    assert await service.ctx.database.read(lambda tx: tx.scalar(live)) == 0


async def test_the_end_of_its_lifetime_ends_it_as_exhausted_too(service: Service) -> None:
    started, other = await service.api.start(), await service.api.start(new_number())
    service.shift(595)
    await die_with_the_last_attempt(service, started)
    service.shift(10)
    for _ in range(2):
        assert (await service.api.read(started["id"]))["status"] == "exhausted"
        assert (await service.api.read(other["id"]))["status"] == "expired"
        await retention.sweep(service.ctx)


async def test_a_comparison_that_ends_long_after_the_expiry_approves_nothing(service: Service) -> None:
    started = await service.api.start()
    service.shift(595)

    def spend(tx: Connection) -> Spent:
        client_id = str(tx.scalar(sa.select(verifications.c.client_id).where(verifications.c.id == started["id"])))
        matching = AttemptConditions(client_id, started["id"], 6, Session.of(client_id, None), None, None)
        spent = attempts.spend(tx, matching, now=service.ctx.clock.now(), wait_steps=())
        assert isinstance(spent, Spent)
        return spent

    spent = await service.ctx.database.write(spend)
    service.shift(13)
    assert (await service.api.read(started["id"]))["status"] == "expired"
    assert not await approve(service, started["id"], spent)
    assert (await service.api.read(started["id"]))["status"] == "expired"
