"""Another message of a verification: a new PIN, the same attempts."""

from sqlalchemy.engine import Connection

from otp_service.errors import Refusal
from otp_service.services import deliveries, idempotency, limits
from otp_service.services.context import Context
from otp_service.services.deliveries import Draft, Job
from otp_service.services.idempotency import Claim
from otp_service.services.verifications import found
from otp_service.services.view import Verification, open_number, shown
from otp_service.storage import failures, verifications
from otp_service.storage.engine import AnyRow


async def resend(ctx: Context, client_id: str, verification_id: str, claim: Claim | None = None) -> Verification:
    """Sends a new PIN. Refusals: `not_found`, `not_pending`, `no_sends_left`, `rate_limited`, `gateway_failed`."""
    deadline = deliveries.deadline()
    read = await ctx.database.read(lambda tx: verifications.read(tx, client_id, verification_id))
    job = _job(ctx, found(read), claim, deadline)
    routes = deliveries.usable_routes(job.purpose, job.carrier)
    with ctx.hasher.place(share=0.5):  # checks go first: sends get no more than half of the queue
        drafted = await deliveries.draft(ctx, verification_id, routes[0], job.purpose)
    send_id = await ctx.database.write(lambda tx: _open(tx, ctx, client_id, job, drafted, claim))
    row = await deliveries.deliver(ctx, job, routes, drafted, send_id)
    return shown(row, ctx.vault, ctx.clock.now())


def _job(ctx: Context, row: AnyRow, claim: Claim | None, deadline: float) -> Job:
    refusal = _why_not(row, ctx.clock.now())
    if refusal is not None:
        raise refusal
    to = open_number(ctx.vault, row.sealed)
    purpose = ctx.policy.purposes.get(row.purpose)
    if to is None or purpose is None or purpose.pin_length != row.pin_length:
        raise Refusal("not_pending", "The configuration it was started under is gone; start a new verification.")
    takes = limits.of_send(ctx, client_id=row.client_id, number_id=row.number_id, address_digest=row.address_digest)
    return Job(
        verification_id=row.id,
        number_id=row.number_id,
        to=to,
        purpose=purpose,
        locale=row.locale,
        carrier=row.carrier,
        seconds_left=row.expires_at - ctx.clock.now(),
        first=False,
        takes=takes,
        request_id=claim.id if claim else None,
        deadline=deadline,
    )


def _open(tx: Connection, ctx: Context, client_id: str, job: Job, drafted: Draft, claim: Claim | None) -> int:
    """The first transaction: takes one of the sends left and everything that counts it; the send's id."""
    idempotency.hold(tx, claim)
    now = ctx.clock.now()
    resend_after = job.purpose.resend_after or (0,)
    if not verifications.claim_resend(tx, client_id, job.verification_id, now=now, resend_after=resend_after):
        row = found(verifications.read(tx, client_id, job.verification_id))
        raise _why_not(row, now) or Refusal("not_pending", "The verification changed in this moment; read it again.")
    waits_until = failures.waits_until(tx, client_id=client_id, number_id=job.number_id, purpose=job.purpose.name)
    if waits_until > now:
        raise limits.limited(limits.FAILURES, waits_until - now)
    limits.take(tx, job.takes, now)
    return deliveries.note(tx, job, drafted, now)


def _why_not(row: AnyRow, now: float) -> Refusal | None:
    if row.status != "pending" or row.expires_at <= now or row.attempts_spent >= row.attempts:
        return Refusal("not_pending", "The verification is over; start a new one.")
    if row.sends_spent >= row.sends:
        return Refusal("no_sends_left", "All messages of this verification are spent; start a new one when it ends.")
    if row.resend_at > now:
        return limits.limited("resend_after", row.resend_at - now)
    return None
