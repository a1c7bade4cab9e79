"""Getting a PIN out: the routes of a purpose in order, until one is not refused for sure."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from otp_service import phone, pins, texts
from otp_service.config.policy import Purpose
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal, Unavailable
from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.hashing.admission import Ticket
from otp_service.hashing.hasher import PinHash
from otp_service.services.context import Context
from otp_service.services.delivery import message_ids, sending
from otp_service.services.delivery.sending import CARRIER_ROUTES, LEAST_SECONDS
from otp_service.services.opt_outs.opt_outs import opted_out
from otp_service.storage import opt_outs
from otp_service.storage.limits import buckets
from otp_service.storage.limits.buckets import Taken
from otp_service.storage.verifications import sends, verifications

log = structlog.get_logger("otp_service.deliveries")

TOTAL_SECONDS = 9.5
"""All routes together; a start is answered within 10 s, the rest is for hashing and storing."""
NOTE_AGAIN_SECONDS = 3.0
"""As long as a database takes to restart."""
NOTE_EVERY_SECONDS = 0.25
DELIVERY = {Outcome.ACCEPTED: "sent", Outcome.UNKNOWN: "unknown"}


@dataclass(frozen=True)
class RouteAttempt:
    """One route about to be tried. `pin`: ours; None where the gateway makes it."""

    route: str
    pin: str | None = field(default=None, repr=False)
    pin_hash: PinHash | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PinMessage:
    """One message of a verification, on whatever route. `deadline`: on the monotonic clock.

    `ticket`: with its place in the hash queue; `seconds_left`: of the lifetime; `taken`: its part of the limits.
    """

    ticket: Ticket
    verification_id: str
    number_id: int
    to: str = field(repr=False)
    purpose: Purpose
    locale: str | None
    carrier: str | None
    seconds_left: float
    taken: list[Taken]
    request_id: int | None
    deadline: float


def deadline() -> float:
    """By when all routes together must be done, from now."""
    return time.monotonic() + TOTAL_SECONDS


def usable_routes(purpose: Purpose, carrier: str | None) -> list[str]:
    """The purpose's routes without those that need a carrier where none is known."""
    routes: list[str] = [route for route in purpose.routes if carrier is not None or route not in CARRIER_ROUTES]
    if not routes:
        raise Refusal(
            "gateway_failed",
            "No carrier is known for this number and every route needs one: give `carrier`, or configure one.",
        )
    return routes


async def draft(ctx: Context, ticket: Ticket, verification_id: str, route: str, purpose: Purpose) -> RouteAttempt:
    """Makes and hashes a PIN of ours where the route needs one: its hash is stored before the send."""
    if route == "pin":
        return RouteAttempt(route)
    pin = pins.generate(purpose.pin_length)
    return RouteAttempt(route, pin, await ctx.hasher.hash(verification_id, pin, ticket))


def note(tx: Connection, pin_message: PinMessage, attempt: RouteAttempt, now: float) -> int:
    """The row that counts the send, before the send; its id."""
    return sends.insert(
        tx,
        pin_message.verification_id,
        route=attempt.route,
        now=now,
        pin_hash=attempt.pin_hash,
        request_id=pin_message.request_id,
    )


async def deliver(
    ctx: Context, pin_message: PinMessage, routes: list[str], attempt: RouteAttempt, send_id: int
) -> AnyRow:
    """Tries the routes, the first already noted as `send_id`; the verification's row.

    Raises Refusal `gateway_failed` where every route was refused for sure.
    """
    for following in [*routes[1:], None]:
        sent = await _send(ctx, pin_message, attempt)
        left = pin_message.deadline - time.monotonic()
        if sent.outcome is not Outcome.REFUSED or following is None or left < LEAST_SECONDS:
            break
        next_route = await _next_route(ctx, pin_message, following, send_id, sent)
        if next_route is None:
            await _nothing_sent(ctx, pin_message, attempt.route, send_id, sent)
            raise opted_out(pin_message.verification_id)
        attempt, send_id = next_route
    if sent.outcome is Outcome.REFUSED:
        await _nothing_sent(ctx, pin_message, attempt.route, send_id, sent)
        raise Refusal(
            "gateway_failed",
            "No route took the message, nothing was sent; try again later.",
            verification_id=pin_message.verification_id,
        )
    return await _settle(ctx, pin_message, attempt, send_id, sent)


def _message(ctx: Context, pin_message: PinMessage, attempt: RouteAttempt) -> Message:
    minutes = max(1, int(pin_message.seconds_left // 60))
    template = texts.choose(pin_message.purpose, pin_message.locale)
    pin = attempt.pin if attempt.pin is not None else ctx.gateway.pin_placeholder
    return Message(
        pin_message.to,
        texts.render(template, pin=pin, minutes=minutes, brand=pin_message.purpose.brand),
        pin_message.carrier,
    )


async def _send(ctx: Context, pin_message: PinMessage, attempt: RouteAttempt) -> Sent:
    left = pin_message.deadline - time.monotonic()
    if left < LEAST_SECONDS:
        return Sent(Outcome.REFUSED, "no_time")
    timeout = min(ctx.gateway_timeout, left)
    with ctx.hasher.admission.away(pin_message.ticket):
        sent = await sending.send(
            ctx, attempt.route, _message(ctx, pin_message, attempt), timeout, pin_message.purpose.pin_length
        )
    log.info(
        "send",
        verification=pin_message.verification_id,
        to=phone.mask(pin_message.to),
        route=attempt.route,
        outcome=sent.outcome.value,
        reason=sent.reason,
    )
    return sent


async def _next_route(
    ctx: Context, pin_message: PinMessage, route: str, refused_id: int, sent: Sent
) -> tuple[RouteAttempt, int] | None:
    """The send over the next route, noted; None where the person has said STOP meanwhile."""
    attempt = await draft(ctx, pin_message.ticket, pin_message.verification_id, route, pin_message.purpose)

    def step(tx: Connection) -> int | None:
        if not pin_message.purpose.send_to_opted_out and opt_outs.is_out(tx, pin_message.number_id):
            return None
        now = ctx.clock.now()
        _finish(ctx, tx, refused_id, sent, now, None)
        return note(tx, pin_message, attempt, now)

    send_id = await ctx.database.write(step)
    return (attempt, send_id) if send_id is not None else None


async def _settle(ctx: Context, pin_message: PinMessage, attempt: RouteAttempt, send_id: int, sent: Sent) -> AnyRow:
    pin_hash = attempt.pin_hash
    if sent.outcome is Outcome.ACCEPTED and sent.pin is not None:
        pin_hash = await ctx.hasher.hash(pin_message.verification_id, sent.pin, pin_message.ticket)
    # Without a PIN that we know, nobody should have to wait for the next one.
    at_once = sent.outcome is Outcome.UNKNOWN and pin_hash is None

    def step(tx: Connection) -> AnyRow:
        now = ctx.clock.now()
        row = verifications.delivered(
            tx,
            pin_message.verification_id,
            send_id,
            status=DELIVERY[sent.outcome],
            route=attempt.route,
            at=now,
            resend_at=now if at_once else None,
        )
        _finish(ctx, tx, send_id, sent, now, pin_hash)
        if row.sends_spent > 1:
            sends.retire(tx, pin_message.verification_id, pin_message.purpose.live_pins)
        return row

    return await _noted(ctx, pin_message, step)


async def _noted(ctx: Context, pin_message: PinMessage, step: Callable[[Connection], AnyRow]) -> AnyRow:
    """Notes what is known of a message that is out; again where the database is away for a moment, or its PIN would be
    lost. Repeating is safe: it says the same of the same send."""
    until = min(time.monotonic() + NOTE_AGAIN_SECONDS, pin_message.deadline)
    while True:
        try:
            return await ctx.database.write(step)
        except Unavailable:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(NOTE_EVERY_SECONDS)


async def _nothing_sent(ctx: Context, pin_message: PinMessage, route: str, send_id: int, sent: Sent) -> None:
    def step(tx: Connection) -> None:
        now = ctx.clock.now()
        verifications.not_sent(tx, pin_message.verification_id, send_id, route=route, now=now)
        _finish(ctx, tx, send_id, sent, now, None)
        buckets.give_back(tx, pin_message.taken, now)

    await ctx.database.write(step)


def _finish(ctx: Context, tx: Connection, send_id: int, sent: Sent, now: float, pin_hash: PinHash | None) -> None:
    sends.finish(
        tx,
        send_id,
        outcome=sent.outcome.value,
        reason=sent.reason,
        now=now,
        pin_hash=pin_hash,
        awaited=_awaited(ctx, sent, now),
    )


def _awaited(ctx: Context, sent: Sent, now: float) -> dict[str, Any]:
    """Of a message that may be out: what finds its receipt, and when to ask for it first."""
    if sent.outcome is Outcome.REFUSED:
        return {}
    asks = ctx.policy.receipts.poll_after
    return {**message_ids.kept(ctx.vault, sent.message_id), "poll_at": now + asks[0] if asks else None}
