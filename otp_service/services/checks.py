"""Checking a PIN: the attempt is spent and committed before anything is compared."""

from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from otp_service import phone, pins
from otp_service.errors import FieldError, OtpError, Refusal
from otp_service.hashing import PinHash
from otp_service.metrics import CHECKS
from otp_service.services import idempotency, limits
from otp_service.services.context import Context, session_digest
from otp_service.services.idempotency import Claim
from otp_service.services.verifications import found, not_found
from otp_service.services.view import Verification, shown
from otp_service.storage import events, failures, verifications
from otp_service.storage.engine import AnyRow
from otp_service.work_queue import Rank, Turn

log = structlog.get_logger("otp_service.checks")


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
    """A request whose fields are well-formed, with everything that the spending statement compares."""

    request: CheckRequest
    pin: str = field(repr=False)
    session: str | None
    digests: dict[str, str] | None
    claim: Claim | None


@dataclass(frozen=True)
class _Spent:
    """An attempt that is committed and may be compared."""

    purpose: str
    number_id: int
    live: list[PinHash] = field(repr=False)


class _NumberWaits(OtpError):
    """The failure budget makes the number wait: rolls the spent attempt back."""

    def __init__(self, until: float) -> None:
        super().__init__("the number waits")
        self.until = until


async def check(ctx: Context, request: CheckRequest, claim: Claim | None = None) -> Checked:
    """Compares a PIN. Refusals: `invalid`, `not_found`, `mismatch`, `overloaded`."""
    asked = _asked(ctx, request, claim)
    with ctx.hasher.queue.place(_turn(request)):
        checked = await _check(ctx, asked)
    log.info("check", verification=request.verification_id, result=checked.result)
    CHECKS.labels(checked.verification.purpose, checked.result).inc()
    return checked


def _turn(request: CheckRequest) -> Turn:
    return Turn(Rank.CHECK, request.client_id)


def _asked(ctx: Context, request: CheckRequest, claim: Claim | None) -> _Asked:
    pin = pins.clean(request.pin)
    if pin is None:
        raise malformed_pin()
    digests = ctx.vault.digests(phone.parse(request.to).e164) if request.to is not None else None
    return _Asked(request, pin, session_digest(request.client_id, request.session), digests, claim)


def malformed_pin() -> Refusal:
    """The PIN is not ASCII digits of the verification's length."""
    wrong = FieldError("pin", "It is not a PIN of this verification: ASCII digits of its pin_length.")
    return Refusal("invalid", "A field is wrong.", errors=[wrong])


async def _check(ctx: Context, asked: _Asked) -> Checked:
    try:
        spent = await ctx.database.write(lambda tx: _spend(tx, ctx, asked))
    except _NumberWaits as waits:
        return await _not_compared(ctx, asked, waits.until)
    if spent is None:
        return await _not_compared(ctx, asked, None)
    right = await ctx.hasher.matches(asked.request.verification_id, asked.pin, spent.live, _turn(asked.request))
    result, row = await ctx.database.write(lambda tx: _conclude(tx, ctx, asked, spent, right))
    return Checked(result, shown(ctx, row))


def _spend(tx: Connection, ctx: Context, asked: _Asked) -> _Spent | None:
    """The first transaction: the attempt and the number's failure budget, both or none."""
    idempotency.hold(tx, asked.claim)
    now = ctx.clock.now()
    request = asked.request
    row = verifications.spend(
        tx,
        client_id=request.client_id,
        verification_id=request.verification_id,
        now=now,
        pin_length=len(asked.pin),
        session_digest=asked.session,
        purpose=request.purpose,
        digests=asked.digests,
    )
    if row is None:
        return None
    whose = {"client_id": request.client_id, "number_id": row.number_id, "purpose": row.purpose}
    steps = limits.waits(ctx.policy.limits.failures_per_number)
    if not failures.spend(tx, **whose, now=now, waits=steps):
        raise _NumberWaits(failures.waits_until(tx, **whose))
    live = [PinHash(*line.split(" ", 1)) for line in row.live.split("\n")]
    return _Spent(row.purpose, row.number_id, live)


def _conclude(tx: Connection, ctx: Context, asked: _Asked, spent: _Spent, right: bool) -> tuple[str, AnyRow]:
    """The second transaction: what the comparison said becomes the state, unless another got there first."""
    now = ctx.clock.now()
    request = asked.request
    if not right:
        result, row = "incorrect", verifications.compared(tx, request.verification_id, now)
    else:
        approved = verifications.end(tx, request.verification_id, status="approved", reason=None, now=now)
        if approved is not None:
            result, row = "approved", approved
            failures.clear(tx, client_id=request.client_id, number_id=spent.number_id, purpose=spent.purpose)
        else:
            row = found(verifications.read(tx, request.client_id, request.verification_id))
            result = _result_of(row, now)
    events.add(tx, request.verification_id, now=now, kind="check", result=result)
    return result, row


async def _not_compared(ctx: Context, asked: _Asked, waits_until: float | None) -> Checked:
    """Says why nothing was compared, after as much time as a comparison takes."""
    request = asked.request

    def step(tx: Connection) -> tuple[str, AnyRow] | Refusal:
        now = ctx.clock.now()
        row = verifications.read(tx, request.client_id, request.verification_id)
        if row is None:
            return not_found()
        refusal = _mismatch(row, asked)
        if refusal is not None:
            return refusal
        result = "locked" if waits_until is not None else _result_of(row, now)
        events.add_bounded(tx, request.verification_id, now=now, kind="check", result=result)
        return result, row

    # One after the other, as in a check that is compared.
    await ctx.hasher.compare_nothing(_turn(request))
    answer = await ctx.database.write(step)
    if isinstance(answer, Refusal):
        raise answer
    result, row = answer
    return Checked(result, shown(ctx, row), waits_until if result == "locked" else None)


def _mismatch(row: AnyRow, asked: _Asked) -> Refusal | None:
    if row.pin_length != len(asked.pin):
        return malformed_pin()
    same = row.session_digest == asked.session
    same = same and asked.request.purpose in (None, row.purpose)
    same = same and (asked.digests is None or row.digest in asked.digests.values())
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
