"""Checking a PIN: the attempt is spent and committed before anything is compared."""

from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from otp_service import phone, pins
from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, Refusal
from otp_service.hashing.admission import Rank, Ticket
from otp_service.observability.metrics import CHECKS
from otp_service.services import numbers
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import Claim
from otp_service.services.context import Context, session_digest
from otp_service.services.limits import limits
from otp_service.services.verifications.lifecycle import found, not_found
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage.limits import failures
from otp_service.storage.verifications import attempts, events, verifications
from otp_service.storage.verifications.attempts import Spent, Unspent


@dataclass(frozen=True)
class CheckRequest:
    """One submitted PIN, as it was typed; whatever else is given must match the start."""

    client_id: str
    verification_id: str
    pin: str = field(repr=False)
    session: str | None = field(default=None, repr=False)
    to: str | None = field(default=None, repr=False)
    purpose: str | None = None


@dataclass(frozen=True)
class Checked:
    """`result`: docs/api.md, "Results". `retry_at`: seconds since the epoch, with `locked` alone."""

    result: str
    verification: Verification
    retry_at: float | None = None


@dataclass(frozen=True)
class _Asked:
    """A request whose fields are well-formed. `matching`: everything that the spending statement compares."""

    request: CheckRequest
    ticket: Ticket
    pin: str = field(repr=False)
    matching: attempts.Matching = field(repr=False)
    claim: Claim | None


async def check(ctx: Context, request: CheckRequest, claim: Claim | None = None) -> Checked:
    """Compares a PIN. Refusals: `invalid`, `not_found`, `mismatch`, `overloaded`."""
    # The line of the request tells it: a second line costs as much as a statement.
    structlog.contextvars.bind_contextvars(verification=request.verification_id)
    asked = _asked(ctx, request, claim)
    with ctx.hasher.admission.place(asked.ticket):
        checked = await _check(ctx, asked)
    structlog.contextvars.bind_contextvars(result=checked.result)
    CHECKS.labels(checked.verification.purpose, checked.result).inc()
    return checked


def _asked(ctx: Context, request: CheckRequest, claim: Claim | None) -> _Asked:
    pin = pins.clean(request.pin)
    if pin is None:
        raise malformed_pin()
    matching = attempts.Matching(
        client_id=request.client_id,
        verification_id=request.verification_id,
        pin_length=len(pin),
        session_digest=session_digest(request.client_id, request.session),
        purpose=request.purpose,
        digests=numbers.digests(ctx.vault, phone.parse(request.to).e164) if request.to is not None else None,
    )
    return _Asked(request, Ticket(Rank.CHECK, request.client_id), pin, matching, claim)


def malformed_pin() -> Refusal:
    """The PIN is not ASCII digits of the verification's length."""
    wrong = FieldError("pin", "It is not a PIN of this verification: ASCII digits of its pin_length.")
    return Refusal("invalid", "A field is wrong.", errors=[wrong])


async def _check(ctx: Context, asked: _Asked) -> Checked:
    spent = await ctx.database.write(lambda tx: _spend(tx, ctx, asked), one_statement=asked.claim is None)
    if not isinstance(spent, Spent):
        return await _not_compared(ctx, asked, waits=spent is Unspent.WAITS)
    right = await ctx.hasher.matches(asked.request.verification_id, asked.pin, spent.live, asked.ticket)
    row = await ctx.database.write(lambda tx: _conclude(tx, ctx, asked, spent, right), one_statement=True)
    if row is None:
        return await _too_late(ctx, asked)
    return Checked("approved" if right else "incorrect", represent(ctx, row))


def _spend(tx: Connection, ctx: Context, asked: _Asked) -> Spent | Unspent:
    """Committed before anything is compared: the attempt and the number's failure budget, both or none."""
    idempotency.hold(tx, asked.claim)
    waits = limits.waits(ctx.policy.limits.failures_per_number)
    return attempts.spend(tx, asked.matching, now=ctx.clock.now(), waits=waits)


def _conclude(tx: Connection, ctx: Context, asked: _Asked, spent: Spent, right: bool) -> AnyRow | None:
    """What the comparison said becomes the state; None where another ended the verification before."""
    now = ctx.clock.now()
    request = asked.request
    if not right:
        return attempts.incorrect(tx, request.verification_id, none_left=spent.none_left, now=now)
    return attempts.approve(
        tx,
        request.verification_id,
        client_id=request.client_id,
        number_id=spent.number_id,
        purpose=spent.purpose,
        now=now,
    )


async def _too_late(ctx: Context, asked: _Asked) -> Checked:
    """The verification had ended, or was wiped, when it was known whether the PIN was right."""
    request = asked.request

    def step(tx: Connection) -> tuple[str, AnyRow]:
        now = ctx.clock.now()
        row = found(verifications.read(tx, request.client_id, request.verification_id))
        result = _result_of(row, now)
        events.add(tx, request.verification_id, now=now, kind="check", result=result)
        return result, row

    result, row = await ctx.database.write(step)
    return Checked(result, represent(ctx, row))


async def _not_compared(ctx: Context, asked: _Asked, *, waits: bool) -> Checked:
    """Says why nothing was compared, after as much time as a comparison takes."""
    request = asked.request

    def step(tx: Connection) -> tuple[str, AnyRow, float | None] | Refusal:
        now = ctx.clock.now()
        row = verifications.read(tx, request.client_id, request.verification_id)
        if row is None:
            return not_found()
        refusal = _mismatch(row, asked)
        if refusal is not None:
            return refusal
        result = "locked" if waits else _result_of(row, now)
        retry_at = _waits_until(tx, row, now) if waits else None
        events.add_bounded(tx, request.verification_id, now=now, kind="check", result=result)
        return result, row, retry_at

    # One after the other, as in a check that is compared.
    await ctx.hasher.compare_nothing(asked.ticket)
    answer = await ctx.database.write(step)
    if isinstance(answer, Refusal):
        raise answer
    result, row, retry_at = answer
    return Checked(result, represent(ctx, row), retry_at)


def _waits_until(tx: Connection, row: AnyRow, now: float) -> float:
    """When the number can be checked again: now, where its wait has ended in the meantime."""
    until = failures.waits_until(tx, client_id=row.client_id, number_id=row.number_id, purpose=row.purpose)
    return max(now, until)


def _mismatch(row: AnyRow, asked: _Asked) -> Refusal | None:
    if row.pin_length != len(asked.pin):
        return malformed_pin()
    matching = asked.matching
    same = row.session_digest == matching.session_digest
    same = same and matching.purpose in (None, row.purpose)
    same = same and (matching.digests is None or row.digest in matching.digests.values())
    if not same:
        return Refusal(
            "mismatch", "session, to or purpose is not that of the start, or was left out; nothing was compared."
        )
    return None


def _result_of(row: AnyRow, now: float) -> str:
    """The result of a check that is not compared, from the verification's state."""
    if row.status == "approved":
        return "already_approved"
    if row.status in ("canceled", "exhausted"):
        return str(row.status)
    if row.status == "failed":
        return "no_pin"
    if row.status == "expired" or row.expires_at <= now:
        return "expired"
    if row.attempts_spent >= row.attempts:
        return "exhausted"
    return "no_pin"
