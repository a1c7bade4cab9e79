"""Checks of challenges: an attempt is spent and committed, then a PIN, a TOTP value or a recovery code is compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from otp_service.config.policy.rates import Failures
from otp_service.errors import Refusal
from otp_service.hashing import pins
from otp_service.hashing.queue import Kind, Ticket
from otp_service.observability.metrics import CHALLENGE_CHECKS
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.factors import devices, events, recovery_codes, representation, totp
from otp_service.services.factors.challenges import challenges
from otp_service.services.factors.challenges.challenges import RECOVERY_CODE, Challenge, StoredChallenge
from otp_service.services.guard.state import Approval
from otp_service.services.limits import limits
from otp_service.services.verifications import checks, proofs
from otp_service.storage.factors import factors, failures
from otp_service.storage.factors.subjects import Owner
from otp_service.storage.verifications import attempts, comparisons
from otp_service.storage.verifications import events as stored_events
from otp_service.storage.verifications.attempts import FailureCounter, Spent, Unspent
from otp_service.storage.verifications.sessions import Session
from otp_service.vault import SealedFor

SMS = "sms"
"""The method of a PIN by SMS. A proof has methods as `amr` (RFC 8176)."""
FREE_WRONG_CODES = 5
"""Wrong recovery codes in a row until the next one waits."""


@dataclass(frozen=True)
class ChallengeCheckRequest:
    """The fields of a check. `pin`: as the person typed it; `remember`: an approval remembers the device."""

    client_id: str
    challenge_id: str
    pin: str = field(repr=False)
    session: str | None = field(default=None, repr=False)
    remember: bool = False


@dataclass(frozen=True)
class CheckedChallenge:
    """The answer to a check. `result`: as of a verification; `device`: the token of a remembered device."""

    result: str
    challenge: Challenge
    retry_at: float | None = None
    proof: str | None = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _ValidCheck:
    """A check whose fields are well-formed. `typed`: in its one form; `method`: what it is compared as."""

    request: ChallengeCheckRequest
    stored: StoredChallenge
    method: str
    typed: str = field(repr=False)
    session: Session = field(repr=False)
    ticket: Ticket

    @property
    def owner(self) -> Owner:
        """Return whose challenge it is."""
        return Owner(self.request.client_id, self.stored.row.subject, self.stored.row.subject_id)

    @property
    def failure_counter(self) -> FailureCounter:
        """Return whose consecutive wrong checks it counts."""
        return FailureCounter.RECOVERY_CODES if self.method == RECOVERY_CODE else FailureCounter.SUBJECT

    @property
    def failure_kind(self) -> str:
        """Return the kind of `subject_failures` that it counts."""
        return failures.RECOVERY_CODES if self.method == RECOVERY_CODE else failures.FACTORS


class _Ended(Exception):
    """The challenge ended or was switched while the value was compared; the transaction must leave nothing behind."""


async def check(
    ctx: Context, request: ChallengeCheckRequest, idempotent: IdempotentRequest | None = None
) -> CheckedChallenge:
    """Compare what a person typed. Refusals: `not_found`, `mismatch`, `invalid`, `overloaded`."""
    structlog.contextvars.bind_contextvars(challenge=request.challenge_id)  # for the log line of the request
    stored = await ctx.database.read(lambda tx: challenges.find(tx, ctx, request.client_id, request.challenge_id))
    valid = _validate(request, stored)
    with _admit(ctx, valid):
        checked = await _check(ctx, valid, idempotent)
    structlog.contextvars.bind_contextvars(result=checked.result)
    if checked.result == "approved" and valid.method == SMS:
        ctx.guard_counts.approved(Approval(request.challenge_id, request.client_id, ctx.clock.now()))
    method = "decoy" if stored.row.decoy else valid.method
    CHALLENGE_CHECKS.labels(stored.row.purpose, method, checked.result).inc()
    return checked


def _validate(request: ChallengeCheckRequest, stored: StoredChallenge) -> _ValidCheck:
    session = Session.of(request.client_id, request.session)
    if not session.is_of(stored.row):
        raise Refusal("mismatch", "session differs from the start, or is missing. No attempt was used.")
    method, value = _parse_typed(request.pin, stored)
    return _ValidCheck(request, stored, method, value, session, Ticket(Kind.CHECK, request.client_id))


def _parse_typed(text: str, stored: StoredChallenge) -> tuple[str, str]:
    """Return what a person typed: its method and its one form. Refusal: `invalid`."""
    digits, row = pins.clean(text), stored.row
    if digits is not None and row.channel in {"sms", "totp"} and len(digits) == row.pin_length:
        return (SMS if row.channel == "sms" else totp.METHOD), digits
    code = recovery_codes.clean_code(text)
    if code is None:
        raise checks.malformed_pin()
    return RECOVERY_CODE, code


@contextmanager
def _admit(ctx: Context, valid: _ValidCheck) -> Iterator[None]:
    """Admit the check: only the PIN of a message needs a hash."""
    if valid.method == SMS:
        with ctx.hasher.queue.admit(valid.ticket):
            yield
    else:
        with ctx.concurrency.of_client(valid.request.client_id):
            yield


async def _check(ctx: Context, valid: _ValidCheck, idempotent: IdempotentRequest | None) -> CheckedChallenge:
    spent = await ctx.database.write(lambda tx: _spend(tx, ctx, valid, idempotent), one_statement=idempotent is None)
    if not isinstance(spent, Spent):
        return await _not_compared(ctx, valid, is_locked=spent is Unspent.LOCKED)
    totp_step = None
    if valid.method == SMS:
        if not await ctx.hasher.matches(valid.request.challenge_id, valid.typed, spent.live, valid.ticket):
            _count_guess(ctx, valid, live=len(spent.live))
            return await ctx.database.write(lambda tx: _incorrect(tx, ctx, valid, spent))
    elif valid.method == totp.METHOD:
        totp_step = _totp_step_of(ctx, valid)
        if totp_step is None:
            _count_guess(ctx, valid, live=totp.LIVE_VALUES)
            return await ctx.database.write(lambda tx: _incorrect(tx, ctx, valid, spent))
    try:
        return await ctx.database.write(lambda tx: _conclude(tx, ctx, valid, spent, totp_step))
    except _Ended:
        return await _not_compared(ctx, valid, is_locked=False)


def _count_guess(ctx: Context, valid: _ValidCheck, *, live: int) -> None:
    row = valid.stored.row
    if not row.decoy:
        ctx.takeovers.add((valid.request.client_id, row.purpose), digits=len(valid.typed), live=live)


def _spend(tx: Connection, ctx: Context, valid: _ValidCheck, idempotent: IdempotentRequest | None) -> Spent | Unspent:
    """Spend an attempt and count it at the subject, both or none."""
    idempotency.lock(tx, idempotent)
    conditions = attempts.AttemptConditions(
        client_id=valid.request.client_id,
        verification_id=valid.request.challenge_id,
        pin_length=len(valid.typed) if valid.method == SMS else None,
        session=valid.session,
    )
    steps = limits.wait_steps(_failure_rules(ctx, valid))
    return attempts.spend(tx, conditions, now=ctx.clock.now(), wait_steps=steps, counter=valid.failure_counter)


def _failure_rules(ctx: Context, valid: _ValidCheck) -> Failures:
    rules = ctx.policy.limits.failures_per_subject
    return rules.model_copy(update={"free": FREE_WRONG_CODES}) if valid.method == RECOVERY_CODE else rules


def _totp_step_of(ctx: Context, valid: _ValidCheck) -> int | None:
    """Return the TOTP step of the value, None if it is wrong, or the challenge is a decoy."""
    factor = valid.stored.factor
    secret = ctx.vault.open(SealedFor.TOTP_SECRET, factor.secret_sealed) if factor is not None else None
    # Without a secret, one of nobody: time must not tell a decoy apart.
    totp_step = totp.step_of(secret or totp.new_secret(), valid.typed, ctx.clock.now())
    return totp_step if secret is not None else None


def _conclude(
    tx: Connection, ctx: Context, valid: _ValidCheck, spent: Spent, totp_step: int | None
) -> CheckedChallenge:
    """Use the value, which is right as far as anybody but the database knows, and approve."""
    now, request, stored = ctx.clock.now(), valid.request, valid.stored
    if not _use(tx, ctx, valid, totp_step, now):
        return _incorrect(tx, ctx, valid, spent)
    kept = proofs.new_proof(ctx, spent.purpose, now)
    row = comparisons.approve(
        tx,
        request.challenge_id,
        client_id=request.client_id,
        purpose=spent.purpose,
        proof=kept,
        now=now,
        method=valid.method,
        factor_id=stored.row.factor_id if valid.method != RECOVERY_CODE else None,
    )
    if row is None:
        raise _Ended
    failures.clear(tx, valid.owner.id)
    device = devices.add(tx, ctx, valid.owner, now)[0] if request.remember else None
    token = proofs.token(
        ctx,
        row,
        kept,
        client_id=request.client_id,
        session_hash=valid.session.hash,
        method=valid.method,
        has_number=valid.method == SMS,
    )
    return CheckedChallenge("approved", challenges.represent(ctx, stored, row), proof=token, device=device)


def _use(tx: Connection, ctx: Context, valid: _ValidCheck, totp_step: int | None, now: float) -> bool:
    """Use up what was typed; return False if it is wrong or was used before."""
    if valid.stored.row.decoy:
        return False
    if valid.method == RECOVERY_CODE:
        return recovery_codes.use(tx, ctx, valid.owner, valid.typed, now)
    return factors.use(tx, valid.stored.row.factor_id, step=totp_step, now=now)


def _incorrect(tx: Connection, ctx: Context, valid: _ValidCheck, spent: Spent) -> CheckedChallenge:
    now, stored = ctx.clock.now(), valid.stored
    row = comparisons.record_incorrect(
        tx, valid.request.challenge_id, none_left=spent.none_left, now=now, method=valid.method
    )
    _report_lock(tx, valid, now)
    return CheckedChallenge("incorrect", challenges.represent(ctx, stored, row))


def _report_lock(tx: Connection, valid: _ValidCheck, now: float) -> None:
    """Record the event of a factor whose subject waits from now on."""
    factor, owner = valid.stored.factor, valid.owner
    waits = failures.waits_until(tx, owner.id, failures.FACTORS) > now  # read for a decoy too: time must not tell
    if waits and factor is not None and valid.method != RECOVERY_CODE:
        locked = representation.represent(factor, owner.subject, is_locked=True)
        events.record(tx, owner.client_id, "factor.locked", locked, now)


async def _not_compared(ctx: Context, valid: _ValidCheck, *, is_locked: bool) -> CheckedChallenge:
    """Return the answer if nothing was compared: why, for a PIN after as much time as a comparison takes."""
    request = valid.request

    def step(tx: Connection) -> CheckedChallenge:
        now = ctx.clock.now()
        stored = challenges.find(tx, ctx, request.client_id, request.challenge_id)
        result = "locked" if is_locked else checks.result_of(stored.row, now)
        retry_at = None
        if is_locked:
            retry_at = max(now, failures.waits_until(tx, stored.row.subject_id, valid.failure_kind))
        stored_events.add_bounded(tx, request.challenge_id, now=now, kind="check", result=result)
        return CheckedChallenge(result, challenges.represent(ctx, stored), retry_at)

    if valid.method == SMS:
        await ctx.hasher.compare_nothing(valid.ticket)
    return await ctx.database.write(step)
