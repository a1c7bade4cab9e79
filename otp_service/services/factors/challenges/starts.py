"""Starts of challenges: a message for a phone, nothing for an authenticator app, an approval for a known device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from otp_service.config.policy.policy import Purpose
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.observability.metrics import CHALLENGES
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.factors import devices
from otp_service.services.factors.challenges import challenges, new_challenges
from otp_service.services.factors.challenges.challenges import RECOVERY_CODE, Challenge, StoredChallenge
from otp_service.services.factors.challenges.new_challenges import ChallengeRequest
from otp_service.services.guard import screening
from otp_service.services.limits import limits, pauses
from otp_service.services.opt_outs.opt_outs import opted_out
from otp_service.services.verifications import new_verifications, proofs
from otp_service.services.verifications.pin_messages import pin_delivery, pin_message, reservations
from otp_service.services.verifications.pin_messages.pin_message import PinMessage
from otp_service.storage.factors import failures, subjects
from otp_service.storage.limits.buckets import Unit
from otp_service.storage.verifications import verifications
from otp_service.storage.verifications.endings import status_at
from otp_service.storage.verifications.proofs import KeptProof

NO_DEVICE = frozenset({"password_reset"})
"""Purposes that no remembered device passes: who has stolen the device would take the account over."""

_NOBODY = 0
"""The id of no subject."""


@dataclass(frozen=True)
class _ValidStart:
    """A challenge that can begin. `factor`: its row, None for a recovery code or a decoy; `message`: for a phone."""

    request: ChallengeRequest
    purpose: Purpose
    id: str
    idempotent: IdempotentRequest | None
    factor: AnyRow | None
    message: PinMessage | None = None


async def start(
    ctx: Context, request: ChallengeRequest, idempotent: IdempotentRequest | None = None
) -> tuple[Challenge, bool]:
    """Start a challenge of a subject; return it, and whether it is new.

    Refusals: `no_factor`, `invalid`, and for a phone those of a start.
    """
    deadline = pin_message.deadline()
    purpose = new_verifications.purpose_named(ctx, request.purpose)
    passed = await _pass_by_device(ctx, request, purpose, idempotent)
    if passed is not None:
        return passed, True
    with ctx.concurrency.of_client(request.client_id):
        factor, waits_until = await ctx.database.read(lambda tx: _choose(tx, ctx, request))
    start = _ValidStart(request, purpose, new_challenges.new_id(), idempotent, factor)
    # While the subject waits, no PIN would be compared; a recovery code still passes the challenge.
    if factor is not None and factor.type == "sms" and waits_until <= ctx.clock.now():
        message = new_challenges.message(ctx, request, purpose, start.id, factor, idempotent, deadline)
        challenge, created = await _send(ctx, replace(start, message=message), message)
    else:
        challenge, created = await _insert_only(ctx, start)
    kind = "decoy" if request.decoy else factor.type if factor is not None else RECOVERY_CODE
    CHALLENGES.labels(purpose.name, kind, "started" if created else "pending").inc()
    return challenge, created


def _choose(tx: Connection, ctx: Context, request: ChallengeRequest) -> tuple[AnyRow | None, float]:
    """Return the factor to challenge, None for a recovery code or a decoy, and until when its subject waits.

    Refusal: `no_factor`.
    """
    subject = subjects.find(tx, request.client_id, request.subject)
    subject_id = subject.id if subject is not None else _NOBODY
    active = challenges.active_factors(tx, ctx, subject_id)
    waits_until = failures.waits_until(tx, subject_id, failures.FACTORS)
    if request.decoy:  # which has read as much as others, so that time does not tell it apart
        return None, waits_until
    if not active:
        raise _no_factor("The subject has no active factor. Let the user add one.")
    return _chosen(active, request.factor), waits_until


def _chosen(active: Sequence[AnyRow], wanted: str | None) -> AnyRow | None:
    if wanted == RECOVERY_CODE:
        return None
    if wanted is None:
        return min(active, key=lambda row: (not row.preferred, row.type != "totp"))
    chosen = next((row for row in active if row.id == wanted), None)
    if chosen is None:
        raise _no_factor("The subject has no such active factor. GET /v1/factors lists them.")
    return chosen


def _no_factor(detail: str) -> Refusal:
    return Refusal("no_factor", detail)


async def _send(ctx: Context, start: _ValidStart, message: PinMessage) -> tuple[Challenge, bool]:
    with ctx.hasher.queue.admit(message.ticket):
        message.current_send = await pin_delivery.prepare(ctx, message, message.routes[0])
        stored, created = await screening.write_screened(ctx, lambda tx: _insert(tx, ctx, start))
        if not created:
            return challenges.represent(ctx, stored), False
        row = await pin_delivery.deliver(ctx, message)
    quota = limits.left_of_client(ctx, message.client_id, message.reserved)
    return challenges.represent(ctx, stored, row, quota), True


async def _insert_only(ctx: Context, start: _ValidStart) -> tuple[Challenge, bool]:
    request = start.request
    async with ctx.concurrency.turn_of_subject(request.client_id, request.subject):
        stored, created = await ctx.database.write(lambda tx: _insert(tx, ctx, start))
    return challenges.represent(ctx, stored), created


def _insert(tx: Connection, ctx: Context, start: _ValidStart) -> tuple[StoredChallenge, bool]:
    """Insert the challenge and count its message; return the pending one instead if there is one."""
    idempotency.lock(tx, start.idempotent)
    now, request = ctx.clock.now(), start.request
    subject_id = _lock_subject(tx, request, now)
    challenges.require_active(tx, ctx, subject_id, start.factor)
    new = new_challenges.new_row(ctx, request, start.purpose, start.id, subject_id, now)
    new |= new_challenges.columns_of(ctx, start.factor, start.purpose, request)
    message = start.message
    if message is not None:
        new |= new_challenges.columns_of_message(tx, ctx, message, now)
        message.number_id = new["number_id"]
    if message is not None:
        reservations.recognize_person(tx, ctx, message, now)
    pause = _pause(ctx, message)
    other = verifications.find_pending(
        tx,
        client_id=request.client_id,
        purpose=start.purpose.name,
        slot=new["slot"],
        number_id=new["number_id"],
        pause_key=pause.key if pause is not None else None,
    )
    if other.id is not None and status_at(other, now) == "pending":
        return challenges.find(tx, ctx, request.client_id, other.id), False
    if message is not None:
        _refuse_opted_out_or_paused(tx, message, other, new, pause, now)
    if other.id is not None:
        verifications.clear_slot(tx, other.id, now)
    verifications.insert(tx, new)  # the subject's row is locked: nobody else takes the slot
    if message is not None:
        reservations.reserve_and_insert(tx, ctx, message, now, pause)
    return challenges.find(tx, ctx, request.client_id, start.id), True


def _lock_subject(tx: Connection, request: ChallengeRequest, now: float) -> int:
    """Lock the row of the subject; a decoy's is inserted if there is none. Refusal: `no_factor`."""
    subject = subjects.find(tx, request.client_id, request.subject)
    if request.decoy:
        return subjects.lock(tx, request.client_id, request.subject, now=now)
    if subject is None or subjects.lock_row(tx, subject.id) is None:
        raise _no_factor("The subject has no active factor. Let the user add one.")
    return int(subject.id)


def _pause(ctx: Context, message: PinMessage | None) -> Unit | None:
    if message is None:
        return None
    client_id, number_id, purpose = message.client_id, message.number_id, message.purpose.name
    return limits.pause(ctx, client_id=client_id, number_id=number_id, purpose=purpose, scope=message.limit_scope)


def _refuse_opted_out_or_paused(
    tx: Connection, message: PinMessage, state: AnyRow, new: dict[str, Any], pause: Unit | None, now: float
) -> None:
    """Refuse with `opted_out`, or `rate_limited` during the pause after an earlier start to the number."""
    if state.opted_out and not message.purpose.send_to_opted_out:
        raise opted_out()
    if pause is not None and state.paused_until is not None and state.paused_until > now:
        owner = {name: new[name] for name in ("client_id", "number_id", "purpose")}
        pauses.end_or_refuse(tx, pause, owner, new["session_digest"], now, until=state.paused_until)


async def _pass_by_device(
    ctx: Context, request: ChallengeRequest, purpose: Purpose, idempotent: IdempotentRequest | None
) -> Challenge | None:
    """Return a challenge that a remembered device has passed at once, None if the request shows none of the subject."""
    device = request.device
    if device is None or purpose.name in NO_DEVICE:
        return None
    challenge_id = new_challenges.new_id()

    def step(tx: Connection) -> tuple[StoredChallenge, KeptProof] | None:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        subject_id = _lock_subject(tx, request, now)
        active = challenges.active_factors(tx, ctx, subject_id)
        is_known = devices.use(tx, ctx, _NOBODY if request.decoy else subject_id, device, now)
        if not active or not is_known:
            return None
        proof = proofs.new_proof(ctx, purpose.name, now)
        new = new_challenges.new_row(ctx, request, purpose, challenge_id, subject_id, now)
        new |= new_challenges.columns_of(ctx, None, purpose, request)
        new |= {"channel": "device", "status": "approved", "ended_at": now, **proof.parameters}
        verifications.insert(tx, new)
        return challenges.find(tx, ctx, request.client_id, challenge_id), proof

    async with ctx.concurrency.turn_of_subject(request.client_id, request.subject):
        passed = await ctx.database.write(step)
    if passed is None:
        return None
    CHALLENGES.labels(purpose.name, "device", "approved").inc()
    stored, kept = passed
    token = proofs.token(
        ctx,
        stored.row,
        kept,
        client_id=request.client_id,
        session_hash=stored.row.session_hash,
        method="device",
        has_number=False,
    )
    return replace(challenges.represent(ctx, stored), proof=token)
