"""What a PIN message needs before it is sent: its limits, the guard's decision, its price, and its row in `sends`."""

from sqlalchemy.engine import Connection

from otp_service.services.context import Context
from otp_service.services.guard import ceilings, people, screening
from otp_service.services.guard.screening import NO_COLUMNS, GuardColumns, ScreeningRequest
from otp_service.services.limits import limits
from otp_service.services.verifications.pin_messages.pin_message import PinMessage, RouteSend
from otp_service.storage.guard import ceilings as stored_ceilings
from otp_service.storage.limits import buckets
from otp_service.storage.limits.buckets import Unit
from otp_service.storage.verifications import sends


def recognize_person(tx: Connection, ctx: Context, message: PinMessage, now: float) -> None:
    """Set since when the person is known, and the scope of the limits that then apply."""
    client_id, subject = message.client_id, message.subject
    since = people.known_since(tx, client_id=client_id, number_id=message.number_id, subject=subject)
    message.known_since = since
    message.limit_scope = people.limit_scope(ctx.vault, client_id=client_id, subject=subject, since=since, now=now)


def reserve_and_insert(
    tx: Connection, ctx: Context, message: PinMessage, now: float, pause: Unit | None = None
) -> None:
    """Reserve the limits, ask the guard, and insert the row that counts the send, before it is sent.

    Refusal: `rate_limited`. Raises Blocked.
    """
    units = limits.of_send(
        ctx,
        client_id=message.client_id,
        number_id=message.number_id,
        address_digest=message.address_digest,
        scope=message.limit_scope,
    )
    message.reserved = limits.reserve(tx, [*units, pause] if pause is not None else units, now)
    if message.to is not None and not message.is_test:
        if message.asks_guard:
            message.screened = screening.screen(tx, ctx, _screening_request(message, message.to), now)
        _reserve_price(tx, ctx, message, message.to, now)
    message.current_send.id = insert(tx, message, message.current_send, now, _guard_columns(ctx, message))


def _screening_request(message: PinMessage, to: str) -> ScreeningRequest:
    return ScreeningRequest(
        client_id=message.client_id,
        to=to,
        purpose=message.purpose.name,
        subject=message.subject,
        address_digest=message.address_digest,
        network_digest=message.network_digest,
        known_since=message.known_since,
        is_decoy=message.imitated is not None,
    )


def _reserve_price(tx: Connection, ctx: Context, message: PinMessage, to: str, now: float) -> None:
    """Reserve the price under the ceilings. A decoy is refused as a message is, and costs nothing."""
    price = ceilings.of_message(ctx, client_id=message.client_id, e164=to, now=now)
    if message.imitated is None:
        message.prices = ceilings.reserve(tx, price, now)
    elif price:
        with tx.begin_nested() as undone:  # as fast as a message: releasing would take a statement for each ceiling
            ceilings.reserve(tx, price, now)
            undone.rollback()


def _guard_columns(ctx: Context, message: PinMessage) -> GuardColumns:
    return screening.guard_columns(ctx, message.screened) if message.screened is not None else NO_COLUMNS


def insert(tx: Connection, message: PinMessage, send: RouteSend, now: float, guard: GuardColumns = NO_COLUMNS) -> int:
    """Insert the row that counts a send over a route; return its id. `guard`: only of the first route."""
    return sends.insert(
        tx,
        message.verification_id,
        route=send.route,
        now=now,
        pin_hash=send.pin_hash,
        request_id=message.idempotent.id if message.idempotent else None,
        prices=message.prices,
        guard_keys=guard.keys,
        pseudonym=guard.pseudonym,
    )


def release(tx: Connection, message: PinMessage, now: float) -> None:
    """Release limits and price: no route sent the message."""
    buckets.release(tx, message.reserved, now)
    stored_ceilings.release(tx, message.prices)
