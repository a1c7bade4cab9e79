"""The enrolment of an authenticator app: its first right value makes the factor active.

It is a challenge of the factor, under the factor's own id: wrong values spend its attempts and count as failures of
the subject. A right one clears no failures: who holds a session could otherwise add apps to go on guessing.
"""

from dataclasses import dataclass, field
from typing import Literal

import structlog
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, invalid_fields, not_found, require
from otp_service.hashing import pins
from otp_service.observability.metrics import CHALLENGE_CHECKS, FACTORS
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.factors import changes, events, notices, totp
from otp_service.services.factors.representation import Factor
from otp_service.services.limits import limits
from otp_service.services.verifications import proofs
from otp_service.services.verifications.representation import NOTHING_SENT
from otp_service.storage.factors import factors, failures
from otp_service.storage.factors.subjects import Owner
from otp_service.storage.verifications import attempts, comparisons, verifications
from otp_service.storage.verifications.attempts import FailureCounter, Spent, Unspent
from otp_service.storage.verifications.endings import status_at
from otp_service.storage.verifications.sessions import Session
from otp_service.vault import SealedFor

PURPOSE = "login"
"""Its policy says how many values are compared."""
_NO_SESSION = Session(None, None)

Result = Literal["approved", "incorrect", "exhausted", "expired", "locked", "canceled", "already_approved"]


@dataclass(frozen=True)
class Verified:
    """The answer to a value of a new authenticator app. `retry_at`: only with `locked`."""

    result: Result
    factor: Factor
    retry_at: float | None = None


@dataclass(frozen=True)
class _TypedValue:
    """A value as the person typed it, for a factor that is not active."""

    client_id: str
    factor_id: str
    value: str = field(repr=False)
    idempotent: IdempotentRequest | None


def begin(tx: Connection, ctx: Context, owner: Owner, factor_id: str, now: float) -> None:
    """Insert the challenge of a new authenticator app, in the caller's transaction."""
    row = {
        "id": factor_id,
        "client_id": owner.client_id,
        "purpose": PURPOSE,
        "number_masked": "",
        "slot": f"factor:{factor_id}",
        "status": "pending",
        "pin_length": totp.DIGITS,
        "attempts": ctx.policy.purposes[PURPOSE].attempts,
        "attempts_spent": 0,
        "attempts_compared": 0,
        "sends": 0,
        "sends_spent": 0,
        "subject": owner.subject,
        "created_at": now,
        "expires_at": now + factors.UNVERIFIED_SECONDS,
        "resend_at": now,
        "delivery_status": NOTHING_SENT,
        "channel": "totp",
        "subject_id": owner.id,
        "factor_id": factor_id,
    }
    verifications.insert(tx, row)


async def verify(
    ctx: Context, client_id: str, factor_id: str, typed: str, idempotent: IdempotentRequest | None = None
) -> Verified:
    """Compare the first value of an authenticator app. Refusals: `invalid`, `not_found`."""
    structlog.contextvars.bind_contextvars(factor=factor_id)  # for the log line of the request
    value = pins.clean(typed)
    if value is None or len(value) != totp.DIGITS:
        raise invalid_fields(FieldError("pin", f"Must be the {totp.DIGITS} digits that the app shows."))
    async with ctx.concurrency.turn(client_id, factor_id):
        verified = await _verify(ctx, _TypedValue(client_id, factor_id, value, idempotent))
    structlog.contextvars.bind_contextvars(result=verified.result)
    CHALLENGE_CHECKS.labels(PURPOSE, "enrolment", verified.result).inc()
    return verified


async def _verify(ctx: Context, given: _TypedValue) -> Verified:
    begun = await ctx.database.write(lambda tx: _spend(tx, ctx, given))
    if isinstance(begun, Verified):
        return begun
    row, spent, spent_at = begun
    secret = ctx.vault.open(SealedFor.TOTP_SECRET, row.secret_sealed)
    step = totp.step_of(secret, given.value, spent_at) if secret is not None else None
    if step is None:
        return await ctx.database.write(lambda tx: _record_wrong(tx, ctx, given, spent))
    verified = await ctx.database.write(lambda tx: _activate(tx, ctx, given, step, spent_at))
    if verified.result == "approved":
        ctx.wakes.outbox.set()
        FACTORS.labels("verified", "totp").inc()
    return verified


def _spend(tx: Connection, ctx: Context, given: _TypedValue) -> tuple[AnyRow, Spent, float] | Verified:
    """Spend an attempt; return the factor, the attempt and its time, or the answer if nothing is compared."""
    idempotency.lock(tx, given.idempotent)
    now = ctx.clock.now()
    row = require(factors.read(tx, given.client_id, given.factor_id, now), "factor")
    owner = Owner(given.client_id, row.subject, row.subject_id)
    if row.status == "active":
        return Verified("already_approved", changes.shown(tx, owner, given.factor_id, now))
    conditions = attempts.AttemptConditions(given.client_id, given.factor_id, None, _NO_SESSION)
    wait_steps = limits.wait_steps(ctx.policy.limits.failures_per_subject)
    spent = attempts.spend(tx, conditions, now=now, wait_steps=wait_steps, counter=FailureCounter.SUBJECT)
    if isinstance(spent, Spent):
        return row, spent, now
    if spent is Unspent.LOCKED:
        retry_at = max(now, failures.waits_until(tx, owner.id, failures.FACTORS))
        return Verified("locked", changes.shown(tx, owner, given.factor_id, now), retry_at)
    return _not_open(tx, owner, given.factor_id, now)


def _not_open(tx: Connection, owner: Owner, factor_id: str, now: float) -> Verified:
    """Return why no attempt was spent, although the subject does not wait."""
    row = require(verifications.read(tx, owner.client_id, factor_id), "challenge")
    results: dict[str, Result] = {"expired": "expired", "canceled": "canceled", "approved": "already_approved"}
    return Verified(results.get(status_at(row, now), "exhausted"), changes.shown(tx, owner, factor_id, now))


def _record_wrong(tx: Connection, ctx: Context, given: _TypedValue, spent: Spent) -> Verified:
    now = ctx.clock.now()
    row = require(factors.read(tx, given.client_id, given.factor_id, now), "factor")
    owner = Owner(given.client_id, row.subject, row.subject_id)
    comparisons.record_incorrect(tx, given.factor_id, none_left=spent.none_left, now=now, method=totp.METHOD)
    factor = changes.shown(tx, owner, given.factor_id, now)
    if changes.is_locked(tx, owner.id, now):
        events.record(tx, given.client_id, "factor.locked", factor, now)
    return Verified("incorrect", factor)


def _activate(tx: Connection, ctx: Context, given: _TypedValue, step: int, spent_at: float) -> Verified:
    now = ctx.clock.now()
    owner, row = changes.lock(tx, given.client_id, given.factor_id, now)
    if row.status == "active":
        return Verified("already_approved", changes.shown(tx, owner, row.id, now))
    others = [each for each in factors.of_subject(tx, owner.id, now) if each.id != row.id]
    notices.queue(tx, ctx, "added", others, now)
    if not factors.activate(tx, row.id, step=step, now=now):
        raise not_found("factor")
    proof = proofs.new_proof(ctx, PURPOSE, now)  # which nobody gets
    comparisons.approve(
        tx, row.id, client_id=owner.client_id, purpose=PURPOSE, proof=proof, now=now, method=totp.METHOD
    )
    failures.give_back(tx, owner.id, failures.FACTORS, spent_at=spent_at)
    return Verified("approved", changes.activated(tx, owner, row.id, others, now))
