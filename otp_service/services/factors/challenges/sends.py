"""Further messages of a challenge, and its switch to another factor of the subject."""

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.factors.challenges import challenges, new_challenges
from otp_service.services.factors.challenges.challenges import Challenge, StoredChallenge
from otp_service.services.factors.challenges.new_challenges import ChallengeRequest
from otp_service.services.limits import limits
from otp_service.services.verifications import new_verifications, resends
from otp_service.services.verifications.pin_messages import pin_message
from otp_service.services.verifications.pin_messages.pin_message import PinMessage
from otp_service.services.verifications.representation import NOTHING_SENT
from otp_service.storage import numbers
from otp_service.storage.factors import subjects
from otp_service.storage.verifications import challenges as stored_challenges


async def resend(
    ctx: Context, client_id: str, challenge_id: str, idempotent: IdempotentRequest | None = None
) -> Challenge:
    """Send a new PIN to the phone of a challenge. Refusals: `not_found`, `not_sms`, `not_pending`, those of a start."""
    deadline = pin_message.deadline()
    stored = await ctx.database.read(lambda tx: challenges.find(tx, ctx, client_id, challenge_id))
    if stored.row.channel != "sms":
        raise Refusal("not_sms", "Only a challenge of an SMS factor sends messages. Switch it to one first.")
    if stored.factor is not None and stored.row.delivery_status == NOTHING_SENT:
        # It began while the subject had to wait.
        await _switch_to_phone(ctx, client_id, stored, stored.factor, idempotent, deadline)
        return await challenges.read(ctx, client_id, challenge_id)
    message = resends.message_of(ctx, client_id, stored.row, idempotent, deadline)
    message.ends_if_refused = False
    row = await resends.send_again(ctx, stored.row, message)
    return challenges.represent(ctx, stored, row, limits.left_of_client(ctx, client_id, message.reserved))


async def switch(
    ctx: Context, client_id: str, challenge_id: str, factor_id: str, idempotent: IdempotentRequest | None = None
) -> Challenge:
    """Make a pending challenge one of another factor; a phone gets a PIN, attempts go on.

    Refusals: `not_found`, `no_factor`, `not_pending`, and for a phone those of a resend.
    """
    deadline = pin_message.deadline()
    stored = await ctx.database.read(lambda tx: challenges.find(tx, ctx, client_id, challenge_id))
    factor = next((each for each in stored.factors if each.id == factor_id), None)
    if factor is None or stored.row.decoy:
        raise Refusal("no_factor", "The subject has no such active factor. `factors` of the challenge lists them.")
    if factor_id == stored.row.factor_id:
        return challenges.represent(ctx, stored)
    if factor.type == "sms":
        await _switch_to_phone(ctx, client_id, stored, factor, idempotent, deadline)
    else:
        await _switch_to_app(ctx, client_id, stored, factor, idempotent)
    return await challenges.read(ctx, client_id, challenge_id)


async def _switch_to_app(
    ctx: Context, client_id: str, stored: StoredChallenge, factor: AnyRow, idempotent: IdempotentRequest | None
) -> None:
    purpose = new_verifications.purpose_named(ctx, stored.row.purpose)
    columns = new_challenges.columns_of_factor(factor, purpose)

    def step(tx: Connection) -> None:
        idempotency.lock(tx, idempotent)
        _lock(tx, ctx, stored, factor)
        _switch(tx, ctx, stored, columns)

    async with ctx.concurrency.turn(client_id, stored.row.id):
        await ctx.database.write(step)


async def _switch_to_phone(
    ctx: Context,
    client_id: str,
    stored: StoredChallenge,
    factor: AnyRow,
    idempotent: IdempotentRequest | None,
    deadline: float,
) -> None:
    row = stored.row
    purpose = new_verifications.purpose_named(ctx, row.purpose)
    request = ChallengeRequest(client_id, row.subject or "", purpose.name, locale=row.locale)
    message = new_challenges.message(ctx, request, purpose, row.id, factor, idempotent, deadline)
    message.lifetime_left = row.expires_at - ctx.clock.now()
    message.ends_if_refused = False
    message.address_digest = row.address_digest
    await resends.send_again(ctx, row, message, lambda tx: _switch_number(tx, ctx, stored, factor, message))


def _switch_number(tx: Connection, ctx: Context, stored: StoredChallenge, factor: AnyRow, message: PinMessage) -> None:
    _lock(tx, ctx, stored, factor)
    number_id = numbers.upsert(tx, ctx.vault, message.to or "", seen_until=stored.row.expires_at)
    columns = new_challenges.columns_of_factor(factor, message.purpose) | {
        "number_id": number_id,
        "carrier": message.carrier,
        "delivery_status": "unknown",  # until the outcome is known
        "delivery_route": message.current_send.route,
    }
    if message.test_number is not None:  # its PIN counts no longer than it is one
        columns["expires_at"] = min(stored.row.expires_at, message.test_number.ends_at)
    _switch(tx, ctx, stored, columns)


def _lock(tx: Connection, ctx: Context, stored: StoredChallenge, factor: AnyRow) -> None:
    """Lock the subject, so that nobody removes the factor before the challenge is one of it. Refusal: `no_factor`."""
    subjects.lock_row(tx, stored.row.subject_id)
    challenges.require_active(tx, ctx, stored.row.subject_id, factor)


def _switch(tx: Connection, ctx: Context, stored: StoredChallenge, columns: dict[str, object]) -> None:
    if not stored_challenges.switch(tx, stored.row.id, columns, ctx.clock.now()):
        raise Refusal("not_pending", "The challenge has ended. Start a new one.")
