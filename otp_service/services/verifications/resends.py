"""Another message of a verification: a new PIN, the same attempts."""

from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from otp_service.config.policy import Purpose
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.hashing.admission import Rank, Ticket
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import Claim
from otp_service.services.context import Context
from otp_service.services.limits import limits
from otp_service.services.numbers import open_number
from otp_service.services.opt_outs.opt_outs import opted_out
from otp_service.services.verifications import pin_messages
from otp_service.services.verifications.lifecycle import found
from otp_service.services.verifications.pin_messages import PinMessage, RouteAttempt
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage import opt_outs
from otp_service.storage.limits import failures
from otp_service.storage.verifications import verifications


@dataclass(frozen=True)
class _Plan:
    """A resend as the row reads; the first transaction decides."""

    client_id: str
    ticket: Ticket
    row: AnyRow
    to: str = field(repr=False)
    purpose: Purpose
    claim: Claim | None
    deadline: float


async def resend(ctx: Context, client_id: str, verification_id: str, claim: Claim | None = None) -> Verification:
    """Sends a new PIN. Refusals: `not_found`, `not_pending`, and those of a start."""
    deadline = pin_messages.deadline()
    read = await ctx.database.read(lambda tx: verifications.read(tx, client_id, verification_id))
    plan = _plan(ctx, client_id, found(read), claim, deadline)
    routes = pin_messages.usable_routes(plan.purpose, plan.row.carrier)
    with ctx.hasher.admission.place(plan.ticket):
        attempt = await pin_messages.draft(ctx, plan.ticket, verification_id, routes[0], plan.purpose)
        pin_message, send_id = await ctx.database.write(lambda tx: _open(tx, ctx, plan, attempt))
        row = await pin_messages.deliver(ctx, pin_message, routes, attempt, send_id)
    return represent(ctx, row, limits.left_of_client(ctx, client_id, pin_message.taken))


def _plan(ctx: Context, client_id: str, row: AnyRow, claim: Claim | None, deadline: float) -> _Plan:
    refusal = _why_not(row, ctx.clock.now())
    if refusal is not None:
        raise refusal
    to = open_number(ctx.vault, row.sealed)
    purpose = ctx.policy.purposes.get(row.purpose)
    if to is None or purpose is None or purpose.pin_length != row.pin_length:
        raise Refusal("not_pending", "The configuration it was started under is gone; start a new verification.")
    return _Plan(client_id, Ticket(Rank.START, client_id), row, to, purpose, claim, deadline)


def _open(tx: Connection, ctx: Context, plan: _Plan, attempt: RouteAttempt) -> tuple[PinMessage, int]:
    """The first transaction: takes one of the sends left and what counts it; the errand and the send's id."""
    idempotency.hold(tx, plan.claim)
    now = ctx.clock.now()
    client_id, number_id, verification_id = plan.client_id, plan.row.number_id, plan.row.id
    resend_after = plan.purpose.resend_after or (0,)
    if not verifications.claim_resend(tx, client_id, verification_id, now=now, resend_after=resend_after):
        row = found(verifications.read(tx, client_id, verification_id))
        raise _why_not(row, now) or Refusal("not_pending", "The verification changed in this moment; read it again.")
    waits_until = failures.waits_until(tx, client_id=client_id, number_id=number_id, purpose=plan.purpose.name)
    if waits_until > now:
        raise limits.limited(limits.FAILURES, waits_until - now)
    if not plan.purpose.send_to_opted_out and opt_outs.is_out(tx, number_id):
        raise opted_out()
    takes = limits.of_send(ctx, client_id=client_id, number_id=number_id, address_digest=plan.row.address_digest)
    pin_message = PinMessage(
        ticket=plan.ticket,
        number_id=number_id,
        verification_id=verification_id,
        to=plan.to,
        purpose=plan.purpose,
        locale=plan.row.locale,
        carrier=plan.row.carrier,
        seconds_left=plan.row.expires_at - now,
        taken=limits.take(tx, takes, now),
        request_id=plan.claim.id if plan.claim else None,
        deadline=plan.deadline,
    )
    return pin_message, pin_messages.note(tx, pin_message, attempt, now)


def _why_not(row: AnyRow, now: float) -> Refusal | None:
    if row.status != "pending" or row.expires_at <= now or row.attempts_spent >= row.attempts:
        return Refusal("not_pending", "The verification is over; start a new one.")
    if row.sends_spent >= row.sends:
        return Refusal("no_sends_left", "All messages of this verification are spent; start a new one when it ends.")
    if row.resend_at > now:
        return limits.limited("resend_after", row.resend_at - now)
    return None
