"""Starting a verification: one row, one message."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.config.policy import Purpose
from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, Refusal
from otp_service.hashing.admission import Rank, Ticket
from otp_service.observability.metrics import STARTS
from otp_service.phone import PhoneNumber
from otp_service.services import numbers
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import Claim
from otp_service.services.context import Context, session_digest
from otp_service.services.limits import limits
from otp_service.services.opt_outs.opt_outs import opted_out
from otp_service.services.verifications import pin_messages
from otp_service.services.verifications.pin_messages import PinMessage, RouteAttempt
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage.verifications import verifications


@dataclass(frozen=True)
class StartRequest:
    """What a client asks for. `to`: as it was written; `user_ip`: the person's address."""

    client_id: str
    to: str = field(repr=False)
    purpose: str
    locale: str | None = None
    carrier: str | None = None
    user_ip: str | None = None
    session: str | None = field(default=None, repr=False)
    subject: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class _Plan:
    """A start that passed the checks which need no database."""

    request: StartRequest
    ticket: Ticket
    purpose: Purpose
    number: PhoneNumber
    carrier: str | None
    routes: list[str]
    deadline: float
    claim: Claim | None


@dataclass(frozen=True)
class _Opened:
    """A committed row that counts the send to make."""

    pin_message: PinMessage
    send_id: int


async def start(ctx: Context, request: StartRequest, claim: Claim | None = None) -> tuple[Verification, bool]:
    """Sends a PIN; the verification, and whether it is new. Refusals: docs/api.md."""
    with counted(ctx, request.purpose) as results:
        verification, created = await _start(ctx, _plan(ctx, request, claim))
        results.append("started" if created else "pending")
    return verification, created


@contextmanager
def counted(ctx: Context, purpose: str) -> Iterator[list[str]]:
    """Counts a start, refused or with the result that the block appends."""
    label = purpose if purpose in ctx.policy.purposes else "other"
    results: list[str] = []
    try:
        yield results
    except Refusal as refusal:
        STARTS.labels(label, refusal.code).inc()
        raise
    STARTS.labels(label, results[0]).inc()


def checked(ctx: Context, request: StartRequest) -> tuple[Purpose, PhoneNumber]:
    """The purpose and the number that a start names. Refusals: `invalid`, `invalid_number`, `country_not_allowed`."""
    purpose = ctx.policy.purposes.get(request.purpose)
    if purpose is None:
        detail = f"It should be one of {', '.join(ctx.policy.purposes)}, or another that the service is told of."
        raise Refusal("invalid", "A field is wrong.", errors=[FieldError("purpose", detail)])
    number = phone.parse(request.to)
    phone.check_country(number, ctx.countries)
    return purpose, number


def _plan(ctx: Context, request: StartRequest, claim: Claim | None) -> _Plan:
    purpose, number = checked(ctx, request)
    carrier = request.carrier or ctx.policy.carrier_for(number.e164) or ctx.default_carrier
    routes = pin_messages.usable_routes(purpose, carrier)
    ticket = Ticket(Rank.START, request.client_id)
    return _Plan(request, ticket, purpose, number, carrier, routes, pin_messages.deadline(), claim)


async def _start(ctx: Context, plan: _Plan) -> tuple[Verification, bool]:
    verification_id = new_id()
    with ctx.hasher.admission.place(plan.ticket):
        attempt = await pin_messages.draft(ctx, plan.ticket, verification_id, plan.routes[0], plan.purpose)
        opened = None
        while opened is None:  # another start took the slot in the same moment: now it is there to be found
            opened = await ctx.database.write(lambda tx: _open(tx, ctx, plan, verification_id, attempt))
        if not isinstance(opened, _Opened):
            return represent(ctx, opened), False
        row = await pin_messages.deliver(ctx, opened.pin_message, plan.routes, attempt, opened.send_id)
    return represent(ctx, row, limits.left_of_client(ctx, plan.request.client_id, opened.pin_message.taken)), True


def new_id() -> str:
    """The id of a new verification: 128 random bits."""
    return f"ver_{secrets.token_urlsafe(16)}"


def _open(
    tx: Connection, ctx: Context, plan: _Plan, verification_id: str, attempt: RouteAttempt
) -> _Opened | AnyRow | None:
    """The first transaction: the row of the pending one, or everything that counts the send; None: try again."""
    idempotency.hold(tx, plan.claim)
    now = ctx.clock.now()
    new = new_row(tx, ctx, plan.request, plan.purpose, plan.number, now) | {
        "id": verification_id,
        "carrier": plan.carrier,
        "sends_spent": 1,
        "resend_at": now + plan.purpose.wait_after_send(1),
        "channel": "sms",
        # Until the outcome is known, that is what it is.
        "delivery_status": "unknown",
        "delivery_route": plan.routes[0],
    }
    pending = claim_slot(tx, new, now, refuse_opted_out=not plan.purpose.send_to_opted_out)
    if pending is not None:
        return pending
    if not verifications.insert(tx, new):
        return None
    return _count_send(tx, ctx, plan, attempt, new, now)


def claim_slot(tx: Connection, new: dict[str, Any], now: float, *, refuse_opted_out: bool) -> AnyRow | None:
    """The pending verification that is the same one as `new`; another one in the slot is ended.

    Raises Refusal `rate_limited` while the number has to wait, `opted_out` where that matters.
    """
    other = verifications.find_pending(
        tx,
        client_id=new["client_id"],
        purpose=new["purpose"],
        slot=new["slot"],
        number_id=new["number_id"],
    )
    same = other.id is not None and (other.number_id, other.channel) == (new["number_id"], new["channel"])
    if same and other.expires_at > now:
        return other
    if refuse_opted_out and other.opted_out:
        raise opted_out()
    if other.waits_until is not None and other.waits_until > now:
        raise limits.limited(limits.FAILURES, other.waits_until - now)
    if other.id is not None:
        verifications.clear_slot(tx, other.id, now)
    return None


def _count_send(
    tx: Connection, ctx: Context, plan: _Plan, attempt: RouteAttempt, new: dict[str, Any], now: float
) -> _Opened:
    """Takes every limit and notes the send. Raises Refusal `rate_limited`."""
    client_id, number_id = new["client_id"], new["number_id"]
    takes = limits.of_send(ctx, client_id=client_id, number_id=number_id, address_digest=new["address_digest"])
    takes += limits.pause(ctx, client_id=client_id, number_id=number_id, purpose=new["purpose"])
    taken = limits.take(tx, takes, now)
    pin_message = PinMessage(
        ticket=plan.ticket,
        number_id=number_id,
        verification_id=new["id"],
        to=plan.number.e164,
        purpose=plan.purpose,
        locale=new["locale"],
        carrier=plan.carrier,
        seconds_left=plan.purpose.lifetime,
        taken=taken,
        request_id=plan.claim.id if plan.claim else None,
        deadline=plan.deadline,
    )
    return _Opened(pin_message, pin_messages.note(tx, pin_message, attempt, now))


def new_row(
    tx: Connection, ctx: Context, request: StartRequest, purpose: Purpose, number: PhoneNumber, now: float
) -> dict[str, Any]:
    """The columns of a new verification without its id and how it reaches the person; the number's row is held."""
    number_id = numbers.hold(tx, ctx.vault, number.e164, seen_until=now + purpose.lifetime)
    session = session_digest(request.client_id, request.session)
    return {
        "client_id": request.client_id,
        "purpose": purpose.name,
        "number_id": number_id,
        "number_masked": phone.mask(number.e164),
        "slot": f"session:{session}" if session else f"number:{number_id}",
        "session_digest": session,
        "status": "pending",
        "pin_length": purpose.pin_length,
        "attempts": purpose.attempts,
        "attempts_spent": 0,
        "attempts_compared": 0,
        "sends": purpose.sends,
        "locale": request.locale,
        "address_digest": ctx.vault.address_digest(limits.address_key(request.user_ip)) if request.user_ip else None,
        "subject": request.subject,
        "reference": request.reference,
        "created_at": now,
        "expires_at": now + purpose.lifetime,
    }
