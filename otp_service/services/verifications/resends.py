"""Resends: another message of a verification, with a new PIN and the same attempts."""

from collections.abc import Callable

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.config.policy.policy import Purpose
from otp_service.config.policy.test_numbers import TestNumber
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.hashing.queue import Kind, Ticket
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.delivery import test_numbers
from otp_service.services.guard import screening, takeovers
from otp_service.services.limits import limits
from otp_service.services.opt_outs.opt_outs import opted_out
from otp_service.services.verifications.lifecycle import require_verification
from otp_service.services.verifications.pin_messages import pin_delivery, pin_message, reservations
from otp_service.services.verifications.pin_messages.pin_message import PinMessage
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage import opt_outs
from otp_service.storage.factors import failures as subject_failures
from otp_service.storage.factors.failures import FACTORS
from otp_service.storage.limits import failures
from otp_service.storage.numbers import open_number
from otp_service.storage.verifications import verifications


async def resend(
    ctx: Context, client_id: str, verification_id: str, idempotent: IdempotentRequest | None = None
) -> Verification:
    """Send a new PIN. Refusals: `not_found`, `not_pending`, and those of a start."""
    deadline = pin_message.deadline()
    row = await ctx.database.read(lambda tx: require_verification(tx, client_id, verification_id))
    message = message_of(ctx, client_id, row, idempotent, deadline)
    row = await send_again(ctx, row, message)
    return represent(ctx, row, limits.left_of_client(ctx, client_id, message.reserved))


async def send_again(
    ctx: Context, row: AnyRow, message: PinMessage, first: Callable[[Connection], None] | None = None
) -> AnyRow:
    """Count another message of a verification or challenge and send it; return the row.

    `first`: what else the transaction does that counts it.
    """

    def count(tx: Connection) -> None:
        idempotency.lock(tx, message.idempotent)
        if first is not None:
            first(tx)
        _count(tx, ctx, row, message)

    with ctx.hasher.queue.admit(message.ticket):
        message.current_send = await pin_delivery.prepare(ctx, message, message.routes[0])
        await screening.write_screened(ctx, count)
        return await pin_delivery.deliver(ctx, message)


def message_of(
    ctx: Context, client_id: str, row: AnyRow, idempotent: IdempotentRequest | None, deadline: float
) -> PinMessage:
    """Return the next message of a verification or challenge.

    Refusals: `not_pending`, `no_sends_left`, `rate_limited`, `country_not_allowed`.
    """
    now = ctx.clock.now()
    refusal = _why_not(row, now)
    if refusal is not None:
        raise refusal
    to = open_number(ctx.vault, row.sealed)
    purpose = ctx.policy.purposes.get(row.purpose)
    if purpose is None or (to is None and not row.decoy):
        raise _changed()
    purpose = _as_at_the_start(purpose, row.pin_length)
    entry = test_numbers.find(ctx, to) if to is not None else None
    test_number = None if row.decoy else entry
    _check_test_number(test_number, purpose, row)
    if to is not None and entry is None:
        _check_number(to, ctx.countries)
    return PinMessage(
        ticket=Ticket(Kind.START, client_id),
        client_id=client_id,
        verification_id=row.id,
        to=to,
        purpose=purpose,
        locale=row.locale,
        carrier=row.carrier,
        idempotent=idempotent,
        deadline=deadline,
        lifetime_left=row.expires_at - now,
        number_id=row.number_id,
        factor_id=row.factor_id,
        imitated=ctx.recent_sends.draw(purpose.name) if row.decoy else None,
        test_number=test_number,
        is_test=entry is not None,
        subject=row.subject,
        address_digest=row.address_digest,
        asks_guard=not row.blocked,
    )


def _as_at_the_start(purpose: Purpose, pin_length: int) -> Purpose:
    """Return the purpose with PINs as long as at the start. Refusal: `not_pending` if the policy has changed them."""
    if pin_length != purpose.pin_length and not takeovers.was_lengthened(purpose, pin_length):
        raise _changed()
    return takeovers.with_pin_length(purpose, pin_length)


def _check_test_number(test_number: TestNumber | None, purpose: Purpose, row: AnyRow) -> None:
    """Refuse with `not_pending` if the number has become a test number since the start, or is none any more."""
    if (test_number is not None) is not (row.delivery_route == test_numbers.TEST_ROUTE):
        raise _changed()
    if test_number is not None:
        test_numbers.check_length(test_number, purpose)


def _changed() -> Refusal:
    return Refusal("not_pending", "The policy or the secret keys have changed. Start a new verification.")


def _check_number(to: str, countries: frozenset[str] | None) -> None:
    """Refuse with `country_not_allowed`, or `not_pending` if the numbering plan has changed since the start."""
    try:
        phone.parse_served(to, countries)
    except Refusal as refusal:
        if refusal.code != "invalid_number":
            raise
        detail = "The number is no longer valid in its country's numbering plan. Start a new verification."
        raise Refusal("not_pending", detail) from None


def _count(tx: Connection, ctx: Context, row: AnyRow, message: PinMessage) -> None:
    """Spend one of the sends left and count the send in every limit."""
    now, purpose = ctx.clock.now(), message.purpose
    resend_after = purpose.resend_after or (0,)
    if not verifications.claim_resend(tx, message.client_id, row.id, now=now, resend_after=resend_after):
        row = require_verification(tx, message.client_id, row.id)
        raise _why_not(row, now) or Refusal("not_pending", "The verification has just changed. Read it again.")
    message.number_id = verifications.number_id(tx, row.id)  # a merge of two rows of the number may have changed it
    _refuse_while_waiting(tx, row, message, now)
    if not purpose.send_to_opted_out and opt_outs.is_out(tx, message.number_id):
        raise opted_out()
    reservations.recognize_person(tx, ctx, message, now)
    reservations.reserve_and_insert(tx, ctx, message, now)


def _refuse_while_waiting(tx: Connection, row: AnyRow, message: PinMessage, now: float) -> None:
    """Refuse with `rate_limited` while the number, or the subject of a challenge, waits after wrong checks."""
    if row.subject_id is not None:
        limit, until = limits.SUBJECT_FAILURES, subject_failures.waits_until(tx, row.subject_id, FACTORS)
    else:
        limit = limits.FAILURES
        until = failures.waits_until(
            tx, client_id=message.client_id, number_id=message.number_id, purpose=message.purpose.name
        )
    if until > now:
        raise limits.limited(limit, until - now)


def _why_not(row: AnyRow, now: float) -> Refusal | None:
    if row.status != "pending" or row.expires_at <= now or row.attempts_spent >= row.attempts:
        return Refusal("not_pending", "The verification has ended. Start a new one.")
    if row.sends_spent >= row.sends:
        return Refusal("no_sends_left", "No sends left. Start a new verification after this one has expired.")
    if row.resend_at > now:
        return limits.limited("resend_after", row.resend_at - now)
    return None
