"""Inbound starts: nothing is sent; the person texts us a phrase from the number that they claim."""

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, Refusal, invalid_fields
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.limits import limits
from otp_service.services.verifications import new_verifications, phrases
from otp_service.services.verifications.lifecycle import require_verification
from otp_service.services.verifications.new_verifications import StartRequest
from otp_service.services.verifications.representation import NOTHING_SENT, Verification, represent
from otp_service.vault import SealedFor


async def start(
    ctx: Context, request: StartRequest, idempotent: IdempotentRequest | None = None
) -> tuple[Verification, bool]:
    """Make a phrase; return the verification and whether it is new. Refusals: docs/api.md.

    It counts against limits of its own, so that what is pending for a number or of a client is bounded.
    """
    return await new_verifications.with_metric(ctx, request, _start(ctx, request, idempotent))


async def _start(
    ctx: Context, request: StartRequest, idempotent: IdempotentRequest | None
) -> tuple[Verification, bool]:
    purpose, to, _ = new_verifications.purpose_and_number(ctx, request)
    if not purpose.inbound:
        raise _no_channel("This purpose does not allow it.")
    if not ctx.policy.inbound.poll_every:
        raise _no_channel("The service does not read what people text: poll_every is 0.")
    verification_id = new_verifications.new_id()
    phrase = phrases.new_phrase()
    sealed, digest = (
        ctx.vault.seal(SealedFor.PHRASE, phrase.encode()),
        ctx.vault.fingerprint(phrases.digest_input(phrase)),
    )

    def step(tx: Connection) -> AnyRow:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        new = new_verifications.new_row(tx, ctx, request, purpose, to, now) | {
            "id": verification_id,
            "carrier": request.carrier,
            "sends": 0,
            "sends_spent": 0,
            "resend_at": now,
            "channel": "inbound",
            "phrase_sealed": sealed,
            "phrase_digest": digest,
            "delivery_status": NOTHING_SENT,
        }
        pending = new_verifications.insert(tx, new, now, refuse_opted_out=False)
        if pending is not None:
            return pending
        units = limits.of_inbound_start(ctx, client_id=request.client_id, number_id=new["number_id"])
        limits.reserve(tx, units, now)
        return require_verification(tx, request.client_id, verification_id)

    async with ctx.concurrency.turn(request.client_id, to or verification_id):
        row = await ctx.database.write(step)
    return represent(ctx, row), row.id == verification_id


def _no_channel(detail: str) -> Refusal:
    return invalid_fields(FieldError("channel", detail))
