"""Checks: an attempt is spent and committed before the PIN is compared."""

from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, Refusal, invalid_fields
from otp_service.hashing import pins
from otp_service.hashing.queue import Kind, Ticket
from otp_service.observability.metrics import CHECKS, DECOY_CHECKS
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.delivery import test_numbers
from otp_service.services.guard.state import Approval
from otp_service.services.limits import limits
from otp_service.services.verifications import proofs
from otp_service.services.verifications.lifecycle import require_verification
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage import numbers
from otp_service.storage.limits import failures
from otp_service.storage.verifications import attempts, comparisons, events
from otp_service.storage.verifications.attempts import Spent, Unspent
from otp_service.storage.verifications.endings import status_at
from otp_service.storage.verifications.proofs import KeptProof
from otp_service.storage.verifications.sessions import Session


@dataclass(frozen=True)
class CheckRequest:
    """The fields of a check. `pin`: as the person typed it; the others must match the start if they are given."""

    client_id: str
    verification_id: str
    pin: str = field(repr=False)
    session: str | None = field(default=None, repr=False)
    to: str | None = field(default=None, repr=False)
    purpose: str | None = None


@dataclass(frozen=True)
class Checked:
    """The answer to a check. `result`: docs/api.md, "Check"; `retry_at`: only with `locked`, `proof`: `approved`."""

    result: str
    verification: Verification
    retry_at: float | None = None
    proof: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _ValidCheck:
    """A check whose fields are well-formed. `conditions`: of spending an attempt."""

    conditions: attempts.AttemptConditions = field(repr=False)
    pin: str = field(repr=False)
    ticket: Ticket
    idempotent: IdempotentRequest | None


async def check(ctx: Context, request: CheckRequest, idempotent: IdempotentRequest | None = None) -> Checked:
    """Compare a PIN. Refusals: `invalid`, `not_found`, `mismatch`, `overloaded`."""
    # For the log line of the request: a second line would cost as much as a statement.
    structlog.contextvars.bind_contextvars(verification=request.verification_id)
    valid = _validate(ctx, request, idempotent)
    with ctx.hasher.queue.admit(valid.ticket):
        checked = await _check(ctx, valid)
    structlog.contextvars.bind_contextvars(result=checked.result)
    counter = DECOY_CHECKS if checked.verification.decoy else CHECKS
    counter.labels(checked.verification.purpose, checked.result).inc()
    return checked


def _validate(ctx: Context, request: CheckRequest, idempotent: IdempotentRequest | None) -> _ValidCheck:
    pin = pins.clean(request.pin)
    if pin is None:
        raise malformed_pin()
    to = test_numbers.e164(ctx, request.to) if request.to is not None else None
    conditions = attempts.AttemptConditions(
        client_id=request.client_id,
        verification_id=request.verification_id,
        pin_length=len(pin),
        session=Session.of(request.client_id, request.session),
        purpose=request.purpose,
        digests=numbers.lookup_digests(ctx.vault, to) if to is not None else None,
    )
    return _ValidCheck(conditions, pin, Ticket(Kind.CHECK, request.client_id), idempotent)


def malformed_pin() -> Refusal:
    """Return the refusal of a PIN that is not ASCII digits of the verification's length."""
    return invalid_fields(FieldError("pin", "Must be ASCII digits, as many as pin_length."))


async def _check(ctx: Context, valid: _ValidCheck) -> Checked:
    spent = await ctx.database.write(lambda tx: _spend(tx, ctx, valid), one_statement=valid.idempotent is None)
    if not isinstance(spent, Spent):
        return await _not_compared(ctx, valid, is_locked=spent is Unspent.LOCKED)
    right = await ctx.hasher.matches(valid.conditions.verification_id, valid.pin, spent.live, valid.ticket)
    row, kept = await ctx.database.write(lambda tx: _conclude(tx, ctx, valid, spent, right), one_statement=True)
    if row is None:
        return await _too_late(ctx, valid)
    client_id = valid.conditions.client_id
    if kept is None:
        if not row.decoy:
            ctx.takeovers.add((client_id, spent.purpose), digits=row.pin_length, live=len(spent.live))
        return Checked("incorrect", represent(ctx, row))
    ctx.guard_counts.approved(Approval(row.id, client_id, row.ended_at))
    proof = proofs.token(ctx, row, kept, client_id=client_id, session_hash=valid.conditions.session.hash)
    return Checked("approved", represent(ctx, row), proof=proof)


def _spend(tx: Connection, ctx: Context, valid: _ValidCheck) -> Spent | Unspent:
    """Spend an attempt and count it in the number's failure budget, both or none."""
    idempotency.lock(tx, valid.idempotent)
    wait_steps = limits.wait_steps(ctx.policy.limits.failures_per_number)
    return attempts.spend(tx, valid.conditions, now=ctx.clock.now(), wait_steps=wait_steps)


def _conclude(
    tx: Connection, ctx: Context, valid: _ValidCheck, spent: Spent, right: bool
) -> tuple[AnyRow | None, KeptProof | None]:
    """Record the comparison; return the verification, None if the PIN is right but it is over, and its proof."""
    now, verification_id = ctx.clock.now(), valid.conditions.verification_id
    if not right:
        return comparisons.record_incorrect(tx, verification_id, none_left=spent.none_left, now=now), None
    proof = proofs.new_proof(ctx, spent.purpose, now)
    client_id = valid.conditions.client_id
    row = comparisons.approve(tx, verification_id, client_id=client_id, purpose=spent.purpose, proof=proof, now=now)
    return row, proof


async def _too_late(ctx: Context, valid: _ValidCheck) -> Checked:
    """Return the answer if the verification ended, or was wiped, while the PIN was compared."""
    client_id, verification_id = valid.conditions.client_id, valid.conditions.verification_id

    def step(tx: Connection) -> Checked:
        now = ctx.clock.now()
        row = require_verification(tx, client_id, verification_id)
        result = result_of(row, now)
        events.add(tx, verification_id, now=now, kind="check", result=result)
        return Checked(result, represent(ctx, row))

    return await ctx.database.write(step)


async def _not_compared(ctx: Context, valid: _ValidCheck, *, is_locked: bool) -> Checked:
    """Return the answer if nothing was compared: why, after as much time as a comparison takes."""
    client_id, verification_id = valid.conditions.client_id, valid.conditions.verification_id

    def step(tx: Connection) -> Checked:
        now = ctx.clock.now()
        row = require_verification(tx, client_id, verification_id)
        _check_match(row, valid)
        result = "locked" if is_locked else result_of(row, now)
        retry_at = _locked_until(tx, row, now) if is_locked else None
        events.add_bounded(tx, verification_id, now=now, kind="check", result=result)
        return Checked(result, represent(ctx, row), retry_at)

    await ctx.hasher.compare_nothing(valid.ticket)
    return await ctx.database.write(step)


def _locked_until(tx: Connection, row: AnyRow, now: float) -> float:
    """Return when the number can be checked again: now if its wait has ended meanwhile."""
    until = failures.waits_until(tx, client_id=row.client_id, number_id=row.number_id, purpose=row.purpose)
    return max(now, until)


def _check_match(row: AnyRow, valid: _ValidCheck) -> None:
    """Raise Refusal `invalid` or `mismatch` unless the fields of the check match the start."""
    if row.pin_length != len(valid.pin):
        raise malformed_pin()
    wanted = valid.conditions
    same = wanted.session.is_of(row) and wanted.purpose in (None, row.purpose)
    same = same and (wanted.digests is None or row.digest in wanted.digests.values())
    if not same:
        detail = "session, to or purpose differs from the start, or session is missing. No attempt was used."
        raise Refusal("mismatch", detail)


def result_of(row: AnyRow, now: float) -> str:
    """Return the result of a check that is not compared, from the verification's state."""
    status = status_at(row, now)
    if status == "pending":
        return "exhausted" if row.attempts_spent >= row.attempts else "no_pin"
    return {"approved": "already_approved", "failed": "no_pin"}.get(status, status)
