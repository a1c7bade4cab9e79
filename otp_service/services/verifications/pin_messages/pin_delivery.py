"""Delivers a PIN message: tries the routes in order until one does not refuse it."""

import time
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from otp_service import phone, texts
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.hashing import pins
from otp_service.hashing.hasher import PinHash
from otp_service.services.context import Context
from otp_service.services.delivery import decoys, lease_worker, message_ids, sending, test_numbers
from otp_service.services.delivery.decoys import RecentSend
from otp_service.services.delivery.sending import LEAST_SECONDS
from otp_service.services.guard import screening
from otp_service.services.opt_outs.opt_outs import opted_out
from otp_service.services.verifications.pin_messages import reservations
from otp_service.services.verifications.pin_messages.pin_message import PinMessage, RouteSend
from otp_service.storage import opt_outs
from otp_service.storage.verifications import sends, verifications

log = structlog.get_logger("otp_service.pin_delivery")

STORE_AGAIN_SECONDS = 3.0
"""As long as a database takes to restart."""
ABANDONED = "abandoned"
"""The reason of a send that begins too late: its price was given back, so no other route may follow."""
_DELIVERY = {Outcome.ACCEPTED: "sent", Outcome.UNKNOWN: "unknown"}


async def prepare(ctx: Context, message: PinMessage, route: str) -> RouteSend:
    """Return a send over the route. A PIN of ours is hashed now, because its hash is stored before the send."""
    if route == "pin":
        return RouteSend(route)
    pin = decoys.no_pin() if message.imitated else _new_pin(message)
    return RouteSend(route, pin, await ctx.hasher.hash(message.verification_id, pin, message.ticket))


def _new_pin(message: PinMessage) -> str:
    return message.test_number.pin if message.test_number is not None else pins.generate(message.purpose.pin_length)


async def deliver(ctx: Context, message: PinMessage) -> AnyRow:
    """Try the routes, the first of which is counted already; return the verification's row.

    Refusals: `gateway_failed` if every route was refused for sure, `opted_out` if the person said STOP meanwhile,
    `not_pending` if the challenge was switched to another factor meanwhile.
    """
    if message.screened is not None:
        screening.count_sent(ctx, message.screened)
    sent = await _try_routes(ctx, message)
    if message.imitated is None and message.test_number is None:
        went = RecentSend(message.gateway_seconds, message.current_send.route, sent.outcome, sent.reason)
        ctx.recent_sends.record(message.purpose.name, went)
    if sent.outcome is not Outcome.REFUSED:
        return await _record_sent(ctx, message, sent)
    await _record_nothing_sent(ctx, message, sent)
    raise Refusal(
        "gateway_failed",
        "No route could send the message; nothing was sent. Retry in a minute; if it continues, run "
        "`otp-service doctor`.",
        verification_id=message.verification_id,
    )


async def _try_routes(ctx: Context, message: PinMessage) -> Sent:
    """Try the routes until one is not refused for sure; return the last outcome. Refusals: those of `_move_on`."""
    sent = await _send(ctx, message)
    for route in message.routes[1:]:
        is_over = sent.reason == ABANDONED or message.seconds_to_deadline < LEAST_SECONDS
        if sent.outcome is not Outcome.REFUSED or is_over:
            break
        refusal = await _move_on(ctx, message, route, sent)
        if refusal is not None:
            await _record_nothing_sent(ctx, message, sent)
            raise refusal
        sent = await _send(ctx, message)
    return sent


async def _send(ctx: Context, message: PinMessage) -> Sent:
    if message.test_number is not None:
        return Sent(Outcome.ACCEPTED, test_numbers.REASON)
    if message.imitated is not None:
        with ctx.hasher.queue.at_gateway(message.ticket):
            route = message.current_send.route
            return await decoys.imitate(message.imitated, route, longest=message.seconds_to_deadline)
    if message.prices and not await _begin(ctx, message):
        return Sent(Outcome.REFUSED, ABANDONED)
    left, route = message.seconds_to_deadline, message.current_send.route
    if left < LEAST_SECONDS:
        return Sent(Outcome.REFUSED, "no_time")
    timeout, begun = min(ctx.gateway_timeout, left), time.monotonic()
    with ctx.hasher.queue.at_gateway(message.ticket):
        sent = await sending.send(ctx, route, _text_message(ctx, message), timeout, message.purpose.pin_length)
    message.gateway_seconds += time.monotonic() - begun
    log.info(
        "send",
        verification=message.verification_id,
        to=phone.mask(message.to or ""),
        route=route,
        outcome=sent.outcome.value,
        reason=sent.reason,
    )
    return sent


async def _begin(ctx: Context, message: PinMessage) -> bool:
    """Record that the gateway is called now. False: this process was held up, and the price was given back."""
    begun = await ctx.database.write(lambda tx: sends.begin(tx, message.current_send.id, ctx.clock.now()))
    if not begun:
        message.prices = {}
    return begun


def _text_message(ctx: Context, message: PinMessage) -> Message:
    minutes = max(1, int(message.lifetime_left // 60))
    template = texts.choose(message.purpose, message.locale)
    pin = message.current_send.pin if message.current_send.pin is not None else ctx.gateway.pin_placeholder
    text = texts.render(template, pin=pin, minutes=minutes, brand=message.purpose.brand)
    return Message(message.to or "", text, message.carrier)


async def _move_on(ctx: Context, message: PinMessage, route: str, sent: Sent) -> Refusal | None:
    """Store the refused send and count one over the next route; return why not if there must be none any more."""
    send = await prepare(ctx, message, route)

    def step(tx: Connection) -> Refusal | None:
        if _was_switched(tx, message):
            return Refusal("not_pending", "The challenge was switched to another factor while the message was sent.")
        # Read here: meanwhile `secrets rewrap` may have merged the number's row into another.
        number_id = verifications.number_id(tx, message.verification_id)
        if not message.purpose.send_to_opted_out and opt_outs.is_out(tx, number_id):
            return opted_out(message.verification_id)
        now = ctx.clock.now()
        _finish(ctx, tx, message, sent, now, None)
        send.id = reservations.insert(tx, message, send, now)
        return None

    refusal = await ctx.database.write(step)
    if refusal is None:
        message.current_send = send
    return refusal


def _was_switched(tx: Connection, message: PinMessage) -> bool:
    """Return whether the challenge is now one of another factor. No PIN of this message may pass it."""
    if message.factor_id is None:
        return False
    return verifications.factor_id(tx, message.verification_id) != message.factor_id


async def _record_sent(ctx: Context, message: PinMessage, sent: Sent) -> AnyRow:
    send = message.current_send
    pin_hash = send.pin_hash
    if sent.outcome is Outcome.ACCEPTED and sent.pin is not None:
        pin_hash = await ctx.hasher.hash(message.verification_id, sent.pin, message.ticket)
    # If we know no PIN, the person need not wait for the next one.
    resend_now = sent.outcome is Outcome.UNKNOWN and pin_hash is None

    def step(tx: Connection) -> AnyRow:
        now = ctx.clock.now()
        row = verifications.record_delivery(
            tx,
            message.verification_id,
            send.id,
            status=_DELIVERY[sent.outcome],
            route=send.route,
            at=now,
            resend_at=now if resend_now else None,
        )
        _finish(ctx, tx, message, sent, now, None if _was_switched(tx, message) else pin_hash)
        if row.sends_spent > 1:
            sends.retire(tx, message.verification_id, message.purpose.live_pins)
        return row

    # The message is out: if its outcome is not stored, its PIN is lost.
    seconds = min(STORE_AGAIN_SECONDS, message.seconds_to_deadline)
    return await lease_worker.settle(ctx, ctx.clock.now() + seconds, step)


async def _record_nothing_sent(ctx: Context, message: PinMessage, sent: Sent) -> None:
    send = message.current_send

    def step(tx: Connection) -> None:
        now = ctx.clock.now()
        ends = message.ends_if_refused
        verifications.record_nothing_sent(tx, message.verification_id, send.id, route=send.route, now=now, ends=ends)
        _finish(ctx, tx, message, sent, now, None)
        reservations.release(tx, message, now)

    await ctx.database.write(step)
    if message.screened is not None:
        ctx.guard_counts.given_back(message.screened.keyed)


def _finish(
    ctx: Context, tx: Connection, message: PinMessage, sent: Sent, now: float, pin_hash: PinHash | None
) -> None:
    sends.finish(
        tx,
        message.current_send.id,
        outcome=sent.outcome.value,
        reason=sent.reason,
        now=now,
        pin_hash=pin_hash,
        awaited=_receipt_columns(ctx, message, sent, now),
    )


def _receipt_columns(ctx: Context, message: PinMessage, sent: Sent, now: float) -> dict[str, Any]:
    """Return the columns that find the receipt of a message, or say when a decoy has the receipt of a real one."""
    if message.test_number is not None:
        return {}
    drawn = ctx.recent_sends.draw_receipt() if message.imitated is not None else None
    if drawn is not None and sent.outcome is not Outcome.REFUSED:
        return {"poll_at": now + drawn[0]}
    return message_ids.receipt_columns(ctx, sent, now)
