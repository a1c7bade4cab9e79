"""A verification as its own client sees it."""

from dataclasses import dataclass, field

from otp_service.database.statements import AnyRow
from otp_service.errors import Quota
from otp_service.services.context import Context
from otp_service.storage.numbers import open_number
from otp_service.storage.verifications.endings import status_at
from otp_service.vault import SealedFor

NOTHING_SENT = "none"
"""The `delivery_status` of an inbound verification."""


@dataclass(frozen=True)
class Delivery:
    """How the newest message went. `status`: None if none is ever sent."""

    status: str | None
    route: str | None
    sent_at: float | None


@dataclass(frozen=True)
class InboundPhrase:
    """What the person should text us, and to which code."""

    send_to: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Verification:
    """The fields of docs/api.md. Times are seconds since the epoch.

    `quota`: what is left of the client's own limit, after a call that sent a message; for the headers of its answer.
    `decoy`: for metrics; the answer does not show it.
    `proof`: only if an inbound verification is read.
    """

    id: str
    status: str
    reason: str | None
    purpose: str
    to: str | None = field(repr=False)
    pin_length: int
    attempts_left: int
    sends_left: int
    created_at: float
    expires_at: float
    resend_at: float | None
    delivery: Delivery
    subject: str | None
    reference: str | None
    inbound: InboundPhrase | None
    quota: Quota | None = None
    decoy: bool = False
    proof: str | None = field(default=None, repr=False)


def represent(ctx: Context, row: AnyRow, quota: Quota | None = None, *, at: float | None = None) -> Verification:
    """Return the verification of a row with `verifications.COLUMNS`, as it is now, or was at a time."""
    status = status_at(row, ctx.clock.now() if at is None else at)
    sends_left = row.sends - row.sends_spent
    return Verification(
        id=row.id,
        status=status,
        reason=row.reason,
        purpose=row.purpose,
        to=open_number(ctx.vault, row.sealed),
        pin_length=row.pin_length,
        attempts_left=row.attempts - row.attempts_spent,
        sends_left=sends_left,
        created_at=row.created_at,
        expires_at=row.expires_at,
        resend_at=row.resend_at if status == "pending" and sends_left > 0 else None,
        delivery=delivery_of(row),
        subject=row.subject,
        reference=row.reference,
        inbound=_inbound(ctx, row) if status == "pending" else None,
        quota=quota,
        decoy=bool(row.decoy),
    )


def delivery_of(row: AnyRow) -> Delivery:
    """Return how the newest message of a row with `verifications.COLUMNS` went."""
    status = row.delivery_status if row.delivery_status != NOTHING_SENT else None
    return Delivery(status, row.delivery_route, row.delivery_at)


def _inbound(ctx: Context, row: AnyRow) -> InboundPhrase | None:
    phrase = ctx.vault.open(SealedFor.PHRASE, row.phrase_sealed)
    return InboundPhrase(ctx.sender, phrase.decode()) if phrase is not None else None
