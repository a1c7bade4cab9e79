"""What a new challenge is: its row, what of it depends on the factor, and the message of a phone."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.config.policy.policy import Purpose
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.hashing.queue import Kind, Ticket
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.delivery import test_numbers
from otp_service.services.factors import totp
from otp_service.services.factors.challenges.challenges import RECOVERY_CODE
from otp_service.services.limits import limits
from otp_service.services.verifications import new_verifications
from otp_service.services.verifications.new_verifications import StartRequest
from otp_service.services.verifications.pin_messages.pin_message import PinMessage
from otp_service.services.verifications.representation import NOTHING_SENT
from otp_service.storage import numbers


@dataclass(frozen=True)
class ChallengeRequest:
    """The fields of a challenge. `factor`: its id, or `recovery_code`; None for the preferred one."""

    client_id: str
    subject: str
    purpose: str = "login"
    factor: str | None = None
    device: str | None = field(default=None, repr=False)
    session: str | None = field(default=None, repr=False)
    user_ip: str | None = None
    locale: str | None = None
    decoy: bool = False


def new_id() -> str:
    """Return the id of a new challenge: 128 random bits."""
    return f"chl_{secrets.token_urlsafe(16)}"


def new_row(
    ctx: Context, request: ChallengeRequest, purpose: Purpose, challenge_id: str, subject_id: int, now: float
) -> dict[str, Any]:
    """Return the columns of a new challenge that do not depend on its factor."""
    start = StartRequest(
        client_id=request.client_id,
        to=None,
        purpose=purpose.name,
        decoy=request.decoy,
        locale=request.locale,
        user_ip=request.user_ip,
        session=request.session,
        subject=request.subject,
    )
    row = new_verifications.without_number(ctx, start, purpose, now)
    return row | {
        "id": challenge_id,
        "subject_id": subject_id,
        # Decoys have slots of their own: no start may return a decoy that is pending, nor a decoy what can be approved.
        "slot": f"{'decoy' if request.decoy else 'subject'}:{subject_id}:{row['session_hash'] or ''}",
        "sends_spent": 0,
        "resend_at": now,
    }


def columns_of(ctx: Context, factor: AnyRow | None, purpose: Purpose, request: ChallengeRequest) -> dict[str, Any]:
    """Return the columns that depend on the factor before anything is sent. `factor`: None of a code or a decoy."""
    columns = columns_of_factor(factor, purpose)
    if request.decoy:
        channel = RECOVERY_CODE if request.factor == RECOVERY_CODE else "totp"
        columns |= {"factor_id": _imitated_id(ctx, request), "channel": channel}
    return columns


def columns_of_factor(factor: AnyRow | None, purpose: Purpose) -> dict[str, Any]:
    """Return the columns that a switch to the factor changes."""
    is_phone = factor is not None and factor.type == "sms"
    return {
        "factor_id": factor.id if factor is not None else None,
        "channel": factor.type if factor is not None else RECOVERY_CODE,
        "pin_length": purpose.pin_length if is_phone else totp.DIGITS,
        "number_id": factor.number_id if factor is not None else None,
        "number_masked": (factor.number_masked if factor is not None else None) or "",
        "delivery_status": NOTHING_SENT,
        "delivery_route": None,
        "delivery_at": None,
    }


def _imitated_id(ctx: Context, request: ChallengeRequest) -> str:
    """Return the id of a decoy's factor: the same for the same subject."""
    digest = ctx.vault.fingerprint(f"decoy factor {request.client_id}\0{request.subject}".encode())
    return f"fac_{digest.rpartition(':')[2][:22]}"


def message(
    ctx: Context,
    request: ChallengeRequest,
    purpose: Purpose,
    challenge_id: str,
    factor: AnyRow,
    idempotent: IdempotentRequest | None,
    deadline: float,
) -> PinMessage:
    """Return the message of a challenge of a phone. Refusals: `no_factor`, `country_not_allowed`, `invalid`."""
    to = numbers.open_number(ctx.vault, factor.sealed)
    if to is None:
        raise Refusal("no_factor", "The secret key of this factor's number is gone. Let the user add the phone again.")
    test_number = test_numbers.find(ctx, to)
    if test_number is not None:
        test_numbers.check_length(test_number, purpose)
    else:
        phone.parse_served(to, ctx.countries)
    return PinMessage(
        ticket=Ticket(Kind.START, request.client_id),
        client_id=request.client_id,
        verification_id=challenge_id,
        to=to,
        purpose=purpose,
        locale=request.locale,
        carrier=ctx.policy.carrier_for(to) or ctx.default_carrier,
        idempotent=idempotent,
        deadline=deadline,
        lifetime_left=purpose.lifetime,
        factor_id=factor.id,
        test_number=test_number,
        is_test=test_number is not None,
        subject=request.subject,
        address_digest=limits.address_digest(ctx, request.user_ip),
        network_digest=limits.network_digest(ctx, request.user_ip),
    )


def columns_of_message(tx: Connection, ctx: Context, first: PinMessage, now: float) -> dict[str, Any]:
    """Return the columns of a challenge whose first message is counted now. Locks the number's row."""
    lifetime = float(first.purpose.lifetime)
    if first.test_number is not None:  # its PIN counts no longer than it is one
        lifetime = min(lifetime, first.test_number.ends_at - now)
    return {
        "number_id": numbers.upsert(tx, ctx.vault, first.to or "", seen_until=now + lifetime),
        "carrier": first.carrier,
        "sends_spent": 1,
        "expires_at": now + lifetime,
        "resend_at": now + first.purpose.wait_after_send(1),
        "delivery_status": "unknown",  # until the outcome is known
        "delivery_route": first.current_send.route,
    }
