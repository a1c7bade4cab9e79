"""Challenges as their own client sees them: reading, canceling and their history."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import Quota, Refusal, not_found
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.factors import changes, representation
from otp_service.services.factors.representation import FactorChoice
from otp_service.services.verifications import lifecycle
from otp_service.services.verifications.lifecycle import Event
from otp_service.services.verifications.representation import Delivery, delivery_of
from otp_service.storage.factors import factors
from otp_service.storage.verifications import verifications
from otp_service.storage.verifications.endings import status_at

RECOVERY_CODE = "recovery_code"
"""The channel of a challenge that only a recovery code passes."""


@dataclass(frozen=True)
class Challenge:
    """The fields of docs/api.md. Times are seconds since the epoch.

    `factors`: the others that it can be switched to; `proof`: only of one that a device passed at once; `quota`: what
    is left of the client's own limit, after a call that sent a message.
    """

    id: str
    status: str
    reason: str | None
    purpose: str
    subject: str | None
    factor: FactorChoice | None
    factors: list[FactorChoice]
    attempts_left: int
    sends_left: int
    resend_at: float | None
    created_at: float
    expires_at: float
    delivery: Delivery
    proof: str | None = field(default=None, repr=False)
    quota: Quota | None = None


@dataclass(frozen=True)
class StoredChallenge:
    """A challenge's row, and the active factors of its subject."""

    row: AnyRow
    factors: Sequence[AnyRow]

    @property
    def factor(self) -> AnyRow | None:
        """Return the factor that is challenged, None if it is gone or there is none."""
        return next((each for each in self.factors if each.id == self.row.factor_id), None)


def find(tx: Connection, ctx: Context, client_id: str, challenge_id: str) -> StoredChallenge:
    """Return a client's challenge. Refusal: `not_found`."""
    row = verifications.read(tx, client_id, challenge_id)
    if row is None:
        raise not_found("challenge")
    return StoredChallenge(row, active_factors(tx, ctx, row.subject_id))


def active_factors(tx: Connection, ctx: Context, subject_id: int) -> list[AnyRow]:
    """Return the active factors of a subject, oldest first."""
    return changes.active(factors.of_subject(tx, subject_id, ctx.clock.now()))


def require_active(tx: Connection, ctx: Context, subject_id: int, factor: AnyRow | None) -> None:
    """Refuse with `no_factor` if the factor, if any, has been removed. The caller has locked the subject."""
    active = {row.id for row in active_factors(tx, ctx, subject_id)}
    if factor is not None and factor.id not in active:
        raise Refusal("no_factor", "The factor was removed just now. Start again.")


def represent(
    ctx: Context, stored: StoredChallenge, row: AnyRow | None = None, quota: Quota | None = None
) -> Challenge:
    """Return a challenge as it is now. `row`: if it has changed, with `verifications.COLUMNS`."""
    started, row = stored.row, row if row is not None else stored.row
    status = status_at(row, ctx.clock.now())
    sends_left = row.sends - row.sends_spent
    can_send = status == "pending" and sends_left > 0 and row.channel == "sms"
    factor, others = _imitated(started) if row.decoy else _choices(stored)
    return Challenge(
        id=row.id,
        status=status,
        reason=row.reason,
        purpose=row.purpose,
        subject=row.subject,
        factor=factor,
        factors=others,
        attempts_left=row.attempts - row.attempts_spent,
        sends_left=sends_left,
        resend_at=row.resend_at if can_send else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
        delivery=delivery_of(row),
        quota=quota,
    )


def _choices(stored: StoredChallenge) -> tuple[FactorChoice | None, list[FactorChoice]]:
    """Return the factor that is challenged, None if it is gone or there is none, and the others."""
    others = [representation.choice(each) for each in stored.factors if each.id != stored.row.factor_id]
    return representation.choice(stored.factor) if stored.factor is not None else None, others


def _imitated(row: AnyRow) -> tuple[FactorChoice | None, list[FactorChoice]]:
    """Return the same of a decoy: it has one app."""
    app = FactorChoice(row.factor_id, "totp", None, None)
    return (None, [app]) if row.channel == RECOVERY_CODE else (app, [])


async def read(ctx: Context, client_id: str, challenge_id: str) -> Challenge:
    """Return a client's challenge. Refusal: `not_found`."""
    with ctx.concurrency.of_client(client_id):
        return represent(ctx, await ctx.database.read(lambda tx: find(tx, ctx, client_id, challenge_id)))


async def cancel(
    ctx: Context, client_id: str, challenge_id: str, idempotent: IdempotentRequest | None = None
) -> Challenge:
    """Cancel a pending challenge; a second time changes nothing. Refusals: `not_found`, `not_pending`."""
    await read(ctx, client_id, challenge_id)
    await lifecycle.cancel(ctx, client_id, challenge_id, idempotent)
    return await read(ctx, client_id, challenge_id)


async def list_events(ctx: Context, client_id: str, challenge_id: str) -> list[Event]:
    """Return the events of a challenge, oldest first. Refusal: `not_found`."""

    def step(tx: Connection) -> list[Event]:
        return lifecycle.events_of(tx, find(tx, ctx, client_id, challenge_id).row, ctx.clock.now())

    with ctx.concurrency.of_client(client_id):
        return await ctx.database.read(step)
