"""Factors: adding phones and authenticator apps, and reading, changing and removing them."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal, require
from otp_service.observability.metrics import FACTORS
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.factors import (
    changes,
    devices,
    enrolment,
    events,
    fresh_proofs,
    notices,
    recovery_codes,
    totp,
)
from otp_service.services.factors.representation import Factor, RecoveryCodes, represent
from otp_service.storage import numbers
from otp_service.storage.factors import factors, subjects
from otp_service.storage.factors.subjects import Owner
from otp_service.vault import SealedFor

_NUMBER_KEPT_SECONDS = 600.0
"""Longer than it takes to commit a factor, which then keeps its number from the sweeps."""
_LONGEST_ACCOUNT_NAME = 64


@dataclass(frozen=True)
class FactorRequest:
    """What every new factor has. `proof`: of a challenge of the subject, needed if it has an active factor."""

    client_id: str
    subject: str
    name: str | None = None
    proof: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class TotpSecret:
    """What an authenticator app needs: as text to type, as a URI and as a QR code of the URI."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    qr_svg: str = field(repr=False)


@dataclass(frozen=True)
class NewFactor(Factor):
    """A new factor. `totp`: what an authenticator app needs, which no other call returns; None of a phone."""

    totp: TotpSecret | None = None


@dataclass(frozen=True)
class FactorsOfSubject:
    """The factors of a subject, oldest first, and its recovery codes."""

    factors: list[Factor]
    recovery_codes: RecoveryCodes


async def create_totp(
    ctx: Context, request: FactorRequest, account_name: str | None, idempotent: IdempotentRequest | None = None
) -> NewFactor:
    """Add an authenticator app, which `enrolment.verify` makes active. Refusals: `too_many_factors`, `proof_needed`."""
    factor_id, secret = _new_id(), totp.new_secret()
    sealed = ctx.vault.seal(SealedFor.TOTP_SECRET, secret)

    def step(tx: Connection) -> Factor:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        owner, others = _lock_with_room(tx, ctx, request, now)
        _require_proof(tx, ctx, request, others, now)
        row = {"type": "totp", "status": "unverified", "secret_sealed": sealed}
        _insert(tx, request, owner, factor_id, row, now)
        enrolment.begin(tx, ctx, owner, factor_id, now)
        return _added(tx, owner, factor_id, now)

    async with ctx.concurrency.turn_of_subject(request.client_id, request.subject):
        factor = await ctx.database.write(step)
    FACTORS.labels("added", "totp").inc()
    # Last, since a QR code costs more than all the rest: a refused call must not draw one.
    shown = await asyncio.to_thread(_for_the_app, ctx, secret, account_name or request.subject)
    return NewFactor(**vars(factor), totp=shown)


async def create_sms(
    ctx: Context, request: FactorRequest, phone_proof: str, idempotent: IdempotentRequest | None = None
) -> NewFactor:
    """Add a phone, active at once, with the proof of a verification of its number.

    Refusals: `invalid_proof`, `mismatch`, `already_redeemed`, `too_many_factors`, `proof_needed`.
    """
    factor_id = _new_id()
    claims = fresh_proofs.claims_of_phone(ctx, request.client_id, request.subject, phone_proof)
    to: str = claims["phone_number"]

    def step(tx: Connection) -> Factor:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        owner, others = _lock_with_room(tx, ctx, request, now)
        notices.queue(tx, ctx, "added", others, now)
        number_id = numbers.upsert(tx, ctx.vault, to, seen_until=now + _NUMBER_KEPT_SECONDS)
        _require_proof(tx, ctx, request, others, now)
        fresh_proofs.redeem_phone(tx, request.client_id, claims, now)
        row = {"type": "sms", "status": "active", "verified_at": now}
        row |= {"number_id": number_id, "number_masked": phone.mask(to)}
        _insert(tx, request, owner, factor_id, row, now)
        _added(tx, owner, factor_id, now)
        return changes.activated(tx, owner, factor_id, others, now)

    async with ctx.concurrency.turn_of_subject(request.client_id, request.subject):
        factor = await ctx.database.write(step)
    ctx.wakes.outbox.set()
    FACTORS.labels("added", "sms").inc()
    FACTORS.labels("verified", "sms").inc()
    return NewFactor(**vars(factor))


def _new_id() -> str:
    return f"fac_{secrets.token_urlsafe(16)}"


def _for_the_app(ctx: Context, secret: bytes, account_name: str) -> TotpSecret:
    uri = totp.uri(secret, issuer=ctx.policy.factors.brand, account_name=account_name[:_LONGEST_ACCOUNT_NAME])
    return TotpSecret(totp.text_of(secret), uri, totp.qr_svg(uri))


def _lock_with_room(tx: Connection, ctx: Context, request: FactorRequest, now: float) -> tuple[Owner, Sequence[AnyRow]]:
    """Lock the subject; return it and the factors that it has. Refusal: `too_many_factors`."""
    owner = Owner(request.client_id, request.subject, subjects.lock(tx, request.client_id, request.subject, now=now))
    others, most = factors.of_subject(tx, owner.id, now), ctx.policy.factors.most_per_subject
    if len(others) >= most:
        raise Refusal("too_many_factors", f"The subject has {most} factors; remove one first.")
    return owner, others


def _require_proof(tx: Connection, ctx: Context, request: FactorRequest, others: Sequence[AnyRow], now: float) -> None:
    if changes.active(others):
        fresh_proofs.require(tx, ctx, request.client_id, request.subject, request.proof, now)


def _insert(
    tx: Connection, request: FactorRequest, owner: Owner, factor_id: str, row: dict[str, Any], now: float
) -> None:
    factors.insert(tx, {"id": factor_id, "subject_id": owner.id, "name": request.name, "created_at": now, **row})
    subjects.record_use(tx, owner.id, now)


def _added(tx: Connection, owner: Owner, factor_id: str, now: float) -> Factor:
    factor = changes.shown(tx, owner, factor_id, now)
    events.record(tx, owner.client_id, "factor.added", factor, now)
    return factor


async def list_all(ctx: Context, client_id: str, subject: str) -> FactorsOfSubject:
    """Return the factors of a subject and how many recovery codes it has left."""

    def step(tx: Connection) -> FactorsOfSubject:
        owner = subjects.find(tx, client_id, subject)
        rows = of_subject(tx, owner.id, subject, ctx.clock.now()) if owner is not None else []
        return FactorsOfSubject(rows, recovery_codes.of_subject(tx, client_id, subject))

    with ctx.concurrency.of_client(client_id):
        return await ctx.database.read(step)


def of_subject(tx: Connection, subject_id: int, subject: str, now: float) -> list[Factor]:
    """Return the factors of a subject, oldest first, in the caller's transaction."""
    locked = changes.is_locked(tx, subject_id, now)
    return [represent(row, subject, is_locked=locked) for row in factors.of_subject(tx, subject_id, now)]


async def read(ctx: Context, client_id: str, factor_id: str) -> Factor:
    """Return a factor. Refusal: `not_found`."""

    def step(tx: Connection) -> Factor:
        now = ctx.clock.now()
        row = require(factors.read(tx, client_id, factor_id, now), "factor")
        return represent(row, row.subject, is_locked=changes.is_locked(tx, row.subject_id, now))

    with ctx.concurrency.of_client(client_id):
        return await ctx.database.read(step)


async def change(
    ctx: Context,
    client_id: str,
    factor_id: str,
    *,
    name: str | None,
    preferred: bool | None,
    idempotent: IdempotentRequest | None = None,
) -> Factor:
    """Change the name, or whether challenges use this factor first; None leaves it. Refusal: `not_found`."""
    structlog.contextvars.bind_contextvars(factor=factor_id)  # for the log line of the request

    def step(tx: Connection) -> Factor:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        owner, row = changes.lock(tx, client_id, factor_id, now)
        if name is not None:
            factors.rename(tx, factor_id, name)
        if preferred is not None and preferred != row.preferred:
            factors.prefer(tx, owner.id, factor_id if preferred else None)
        return changes.shown(tx, owner, factor_id, now)

    async with ctx.concurrency.turn(client_id, factor_id):
        return await ctx.database.write(step)


async def remove(ctx: Context, client_id: str, factor_id: str, proof: str | None) -> None:
    """Remove a factor. Refusals: `not_found`, `proof_needed` if it is the last active one of its subject."""
    structlog.contextvars.bind_contextvars(factor=factor_id)  # for the log line of the request

    def step(tx: Connection) -> AnyRow:
        now = ctx.clock.now()
        owner, row = changes.lock(tx, client_id, factor_id, now)
        if row.status == "active":
            _remove_active(tx, ctx, owner, row, proof, now)
        else:
            changes.remove(tx, owner, [row], now)
        subjects.record_use(tx, owner.id, now)
        return row

    async with ctx.concurrency.turn(client_id, factor_id):
        removed = await ctx.database.write(step)
    ctx.wakes.outbox.set()
    FACTORS.labels("removed", removed.type).inc()


def _remove_active(tx: Connection, ctx: Context, owner: Owner, row: AnyRow, proof: str | None, now: float) -> None:
    active = changes.active(factors.of_subject(tx, owner.id, now))
    is_last = len(active) == 1
    notices.queue(tx, ctx, "removed", active, now)
    if is_last:
        fresh_proofs.require(tx, ctx, owner.client_id, owner.subject, proof, now)
    changes.remove(tx, owner, [row], now)
    if is_last:
        recovery_codes.forget(tx, owner)
    devices.revoke_of_subject(tx, owner, now)
