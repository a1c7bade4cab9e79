"""What every start does, whether we send a PIN or the person texts us."""

import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.config.policy.policy import Purpose
from otp_service.config.policy.test_numbers import TestNumber
from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, Refusal, invalid_fields
from otp_service.observability.metrics import DECOY_STARTS, STARTS
from otp_service.services.context import Context
from otp_service.services.delivery import test_numbers
from otp_service.services.limits import limits, pauses
from otp_service.services.opt_outs.opt_outs import opted_out
from otp_service.services.verifications.representation import Verification
from otp_service.storage import numbers
from otp_service.storage.limits.buckets import Unit
from otp_service.storage.verifications import verifications
from otp_service.storage.verifications.endings import status_at
from otp_service.storage.verifications.sessions import Session


@dataclass(frozen=True)
class StartRequest:
    """The fields of a start. `to`: as the client wrote it, None only of a decoy; `user_ip`: the person's address.

    `blocked`: the guard blocked it and answers with a decoy.
    """

    client_id: str
    to: str | None = field(repr=False)
    purpose: str
    decoy: bool = False
    locale: str | None = None
    carrier: str | None = None
    user_ip: str | None = None
    session: str | None = field(default=None, repr=False)
    session_challenge: str | None = field(default=None, repr=False)
    subject: str | None = None
    reference: str | None = None
    blocked: bool = False


async def with_metric(
    ctx: Context, request: StartRequest, starting: Awaitable[tuple[Verification, bool]]
) -> tuple[Verification, bool]:
    """Run a start and count it by its result: `started`, `pending`, or the code of its refusal."""
    purpose = request.purpose if request.purpose in ctx.policy.purposes else "other"
    counter = DECOY_STARTS if request.decoy else STARTS
    try:
        verification, created = await starting
    except Refusal as refusal:
        counter.labels(purpose, refusal.code).inc()
        raise
    counter.labels(purpose, "started" if created else "pending").inc()
    return verification, created


def purpose_and_number(ctx: Context, request: StartRequest) -> tuple[Purpose, str | None, TestNumber | None]:
    """Return the purpose and the number of a start, None if a decoy has none, and its entry if it is a test number.

    Refusals: `invalid`, `invalid_number`, `country_not_allowed`.
    """
    purpose = purpose_named(ctx, request.purpose)
    if request.to is None:
        return purpose, None, None
    test_number = test_numbers.find(ctx, request.to)
    if test_number is not None:
        structlog.contextvars.bind_contextvars(to=phone.mask(request.to))
        return purpose, request.to, test_number
    number = phone.parse(request.to)
    structlog.contextvars.bind_contextvars(to=phone.mask(number.e164))
    phone.check_country(number, ctx.countries)
    return purpose, number.e164, None


def purpose_named(ctx: Context, name: str) -> Purpose:
    """Return a purpose of the policy. Refusal: `invalid`."""
    structlog.contextvars.bind_contextvars(purpose=name)  # for the log line of the request
    purpose = ctx.policy.purposes.get(name)
    if purpose is None:
        raise invalid_fields(FieldError("purpose", f"Must be one of: {', '.join(ctx.policy.purposes)}."))
    return purpose


def new_id() -> str:
    """Return the id of a new verification: 128 random bits."""
    return f"ver_{secrets.token_urlsafe(16)}"


def new_row(
    tx: Connection, ctx: Context, request: StartRequest, purpose: Purpose, e164: str | None, now: float
) -> dict[str, Any]:
    """Return the columns of a new verification that every channel has, without its id. Locks the number's row."""
    seen_until = now + purpose.lifetime
    if e164 is not None:
        number_id = numbers.upsert(tx, ctx.vault, e164, seen_until=seen_until)
    else:
        number_id = numbers.upsert_decoy(tx, ctx.vault, _name_of(request), seen_until=seen_until)
    row = without_number(ctx, request, purpose, now)
    return row | {
        "number_id": number_id,
        "number_masked": phone.mask(e164) if e164 is not None else "",
        "slot": f"session:{row['session_hash']}" if row["session_hash"] else f"number:{number_id}",
    }


def without_number(ctx: Context, request: StartRequest, purpose: Purpose, now: float) -> dict[str, Any]:
    """Return the columns of a new verification or challenge that do not depend on a number."""
    challenge = request.session_challenge
    session = Session.of_challenge(challenge) if challenge else Session.of(request.client_id, request.session)
    return {
        "client_id": request.client_id,
        "purpose": purpose.name,
        "session_digest": session.digest,
        "session_hash": session.hash,
        "status": "pending",
        "pin_length": purpose.pin_length,
        "attempts": purpose.attempts,
        "attempts_spent": 0,
        "attempts_compared": 0,
        "sends": purpose.sends,
        "locale": request.locale,
        "address_digest": limits.address_digest(ctx, request.user_ip),
        "subject": request.subject,
        "reference": request.reference,
        "decoy": request.decoy,
        "blocked": request.blocked,
        "created_at": now,
        "expires_at": now + purpose.lifetime,
    }


def insert(
    tx: Connection,
    new: dict[str, Any],
    now: float,
    *,
    refuse_opted_out: bool,
    pause: Unit | None = None,
    skips_decoy: bool = False,
) -> AnyRow | None:
    """Insert a verification and end an older one in its slot; return the pending one if it is the same.

    `skips_decoy`: of somebody known, who must get a message although a stranger got a decoy.
    Refusals: `opted_out`; `rate_limited` during the pause or the wait after wrong checks.
    """
    owner = {name: new[name] for name in ("client_id", "number_id", "purpose")}
    while True:
        other = verifications.find_pending(tx, **owner, slot=new["slot"], pause_key=pause.key if pause else None)
        if _is_same(other, new, skips_decoy=skips_decoy) and status_at(other, now) == "pending":
            return other
        if refuse_opted_out and other.opted_out:
            raise opted_out()
        if other.waits_until is not None and other.waits_until > now:
            raise limits.limited(limits.FAILURES, other.waits_until - now)
        if pause is not None and other.paused_until is not None and other.paused_until > now:
            pauses.end_or_refuse(tx, pause, owner, new["session_digest"], now, until=other.paused_until)
        if other.id is not None:
            verifications.clear_slot(tx, other.id, now)
        if verifications.insert(tx, new):
            return None
        # Another start claimed the slot at the same moment: now it can be found.


def _is_same(other: AnyRow, new: dict[str, Any], *, skips_decoy: bool) -> bool:
    """Return whether the verification of a slot is what a start asks for. The guard's decoy is what was asked for."""
    if other.id is None or (other.blocked and skips_decoy and other.subject != new["subject"]):
        return False
    was_asked = (other.number_id, other.channel, other.decoy and not other.blocked)
    return was_asked == (new["number_id"], new["channel"], new["decoy"] and not new["blocked"])


def _name_of(request: StartRequest) -> str:
    """Return what limits and repeated starts know a decoy without a number by."""
    name = request.subject or request.session or request.session_challenge or secrets.token_hex(16)
    return f"{request.client_id} {name}"
