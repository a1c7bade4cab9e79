"""Starts: a new verification and its first message."""

import time
from dataclasses import replace
from functools import partial

from sqlalchemy.engine import Connection

from otp_service.config.policy.policy import Purpose
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.hashing.queue import Kind, Ticket
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.delivery import test_numbers
from otp_service.services.delivery.decoys import RecentSend
from otp_service.services.guard import screening, takeovers
from otp_service.services.limits import limits
from otp_service.services.verifications import new_verifications
from otp_service.services.verifications.new_verifications import StartRequest
from otp_service.services.verifications.pin_messages import pin_delivery, pin_message, reservations
from otp_service.services.verifications.pin_messages.pin_message import PinMessage
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage.guard.decisions import DECOY, REFUSED


async def start(
    ctx: Context, request: StartRequest, idempotent: IdempotentRequest | None = None
) -> tuple[Verification, bool]:
    """Send a PIN; return the verification, and whether it is new. Refusals: docs/api.md."""
    return await new_verifications.with_metric(ctx, request, _start_or_decoy(ctx, request, idempotent))


async def _start_or_decoy(
    ctx: Context, request: StartRequest, idempotent: IdempotentRequest | None
) -> tuple[Verification, bool]:
    """Start; if the guard blocks it and `answer` is `decoy`, start a decoy instead."""
    begun = time.monotonic()
    try:
        return await _start(ctx, request, idempotent)
    except Refusal as refusal:
        if refusal.code != "blocked" or ctx.policy.guard.answer != "decoy":
            raise
    decoy = replace(request, decoy=True, blocked=True)
    return await _start(ctx, decoy, idempotent, seconds_spent=time.monotonic() - begun)


async def _start(
    ctx: Context, request: StartRequest, idempotent: IdempotentRequest | None, *, seconds_spent: float = 0.0
) -> tuple[Verification, bool]:
    """Start; `seconds_spent` before on the same request."""
    message = _message(ctx, request, idempotent, seconds_spent)
    with ctx.hasher.queue.admit(message.ticket):
        message.current_send = await pin_delivery.prepare(ctx, message, message.routes[0])
        action = DECOY if ctx.policy.guard.answer == "decoy" else REFUSED
        insert = partial(_insert_or_find_pending, ctx=ctx, request=request, message=message)
        pending = await screening.write_screened(ctx, insert, action=action)
        if pending is not None:
            return represent(ctx, pending), False
        row = await pin_delivery.deliver(ctx, message)
    return represent(ctx, row, limits.left_of_client(ctx, request.client_id, message.reserved)), True


def _message(
    ctx: Context, request: StartRequest, idempotent: IdempotentRequest | None, seconds_spent: float
) -> PinMessage:
    deadline = pin_message.deadline() - seconds_spent
    purpose, to, test_number = new_verifications.purpose_and_number(ctx, request)
    if test_number is not None:
        test_numbers.check_length(test_number, purpose)
    else:
        purpose = takeovers.lengthen(ctx, request.client_id, purpose)
    carrier = ctx.policy.carrier_for(to) if to is not None else None
    return PinMessage(
        ticket=Ticket(Kind.START, request.client_id),
        client_id=request.client_id,
        verification_id=new_verifications.new_id(),
        to=to,
        purpose=purpose,
        locale=request.locale,
        carrier=request.carrier or carrier or ctx.default_carrier,
        idempotent=idempotent,
        deadline=deadline,
        lifetime_left=purpose.lifetime,
        imitated=_imitated(ctx, purpose, seconds_spent) if request.decoy else None,
        test_number=None if request.decoy else test_number,
        is_test=test_number is not None,
        subject=request.subject,
        address_digest=limits.address_digest(ctx, request.user_ip),
        network_digest=limits.network_digest(ctx, request.user_ip),
        asks_guard=not request.blocked,
    )


def _imitated(ctx: Context, purpose: Purpose, seconds_spent: float) -> RecentSend:
    """Return what a decoy imitates. Asking the guard first must not make its answer later than a real one."""
    drawn = ctx.recent_sends.draw(purpose.name)
    return replace(drawn, seconds=max(0.0, drawn.seconds - seconds_spent))


def _insert_or_find_pending(tx: Connection, ctx: Context, request: StartRequest, message: PinMessage) -> AnyRow | None:
    """Insert the verification and count its send, or return the pending one: the first transaction."""
    idempotency.lock(tx, message.idempotent)
    now, purpose, route = ctx.clock.now(), message.purpose, message.current_send.route
    new = new_verifications.new_row(tx, ctx, request, purpose, message.to, now) | {
        "id": message.verification_id,
        "carrier": message.carrier,
        "sends_spent": 1,
        "resend_at": now + purpose.wait_after_send(1),
        "channel": "sms",
        "delivery_status": "unknown",  # until the outcome is known
        "delivery_route": route,
    }
    if message.test_number is not None:  # its PIN counts no longer than it is one
        new["expires_at"] = min(new["expires_at"], message.test_number.ends_at)
    message.number_id = new["number_id"]
    reservations.recognize_person(tx, ctx, message, now)
    scope = message.limit_scope
    pause = limits.pause(
        ctx, client_id=message.client_id, number_id=message.number_id, purpose=purpose.name, scope=scope
    )
    refuse_opted_out = not purpose.send_to_opted_out
    pending = new_verifications.insert(
        tx, new, now, refuse_opted_out=refuse_opted_out, pause=pause, skips_decoy=scope is not None
    )
    if pending is None:
        reservations.reserve_and_insert(tx, ctx, message, now, pause)
    return pending
