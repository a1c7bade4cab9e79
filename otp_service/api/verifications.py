"""The calls under /v1/verifications: their bodies, answers and handlers."""

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.kit import bodies, rate_limits
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import Call, authenticated, once
from otp_service.api.kit.fields import (
    Body,
    Carrier,
    Locale,
    PurposeName,
    Reference,
    Session,
    Subject,
    To,
    documented,
)
from otp_service.hashing import pins
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.verifications import checks, inbound_starts, lifecycle, resends, starts


def _checked_address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("Must be an IPv4 or IPv6 address.") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError("Must be an address without a zone.")
    return text


def _checked_pin(secret: SecretStr) -> SecretStr:
    if pins.clean(secret.get_secret_value()) is None:
        raise ValueError("Must be the ASCII digits of the PIN; spaces and hyphens are removed.")
    return secret


def _checked_challenge(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", text):
        raise ValueError("Must be a SHA-256 in base64url without padding: 43 characters.")
    return text


Address = Annotated[
    str,
    AfterValidator(_checked_address),
    Field(
        description="The user's IP address.",
        examples=["192.0.2.7"],
        json_schema_extra={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    ),
]
SessionChallenge = Annotated[
    str,
    AfterValidator(_checked_challenge),
    documented(
        "Instead of `session`: base64url SHA-256 of a secret, which checks and the redemption then give as `session`.",
        "^[A-Za-z0-9_-]{43}$",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    ),
]
Channel = Literal["sms", "inbound"]
Pin = Annotated[
    SecretStr,
    AfterValidator(_checked_pin),
    Field(
        description="ASCII digits; spaces and hyphens are removed.",
        examples=["123456"],
        json_schema_extra={"pattern": "^[ -]*([0-9][ -]*){6,10}$", "maxLength": 64},
    ),
]


def _to_is_required_unless_decoy(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [
        {"required": ["to"], "properties": {"to": {"type": "string"}}},
        {"properties": {"decoy": {"const": True}}, "required": ["decoy"]},
    ]


class StartBody(Body):
    """Requests a PIN for a number, or a phrase that the user texts us."""

    model_config = ConfigDict(json_schema_extra=_to_is_required_unless_decoy)

    purpose: PurposeName
    decoy: Annotated[
        bool,
        Field(
            description="For a user who does not exist: answers as if a PIN were sent, sends nothing, never approves."
        ),
    ] = False
    to: Annotated[
        To | None, Field(description="The number in E.164. Only a decoy may omit it.", examples=["+573001234567"])
    ] = Field(default=None, validate_default=True)
    locale: Locale | None = None
    carrier: Carrier | None = None
    user_ip: Address | None = None
    session: Session | None = None
    session_challenge: SessionChallenge | None = None
    channel: Annotated[Channel, Field(description="`inbound`: nothing is sent, the user texts us.")] | None = None
    subject: Subject | None = None
    reference: Reference | None = None

    @field_validator("session_challenge")
    @classmethod
    def _is_alone(cls, challenge: str | None, info: ValidationInfo) -> str | None:
        if challenge is not None and info.data.get("session") is not None:
            raise ValueError("Must not be used together with session.")
        return challenge

    @field_validator("to")
    @classmethod
    def _only_a_decoy_has_no_number(cls, to: str | None, info: ValidationInfo) -> str | None:
        if to is None and not info.data.get("decoy"):
            raise ValueError("Required.")
        return to


class CheckBody(Body):
    """A PIN as the user typed it."""

    pin: Pin
    session: Session | None = None
    to: To | None = None
    purpose: PurposeName | None = None


class DeliveryAnswer(Answer):
    """The delivery of the newest message; all fields are null if none is sent."""

    status: Literal["sent", "delivered", "undelivered", "unknown", "failed"] | None
    route: str | None
    sent_at: Timestamp | None


class InboundAnswer(Answer):
    """What the user should text us."""

    send_to: str
    text: str


class VerificationAnswer(Answer):
    """One attempt to prove that the user holds a phone number."""

    id: str
    status: Literal["pending", "approved", "expired", "exhausted", "canceled", "failed"]
    reason: str | None
    purpose: str
    to: str | None
    pin_length: int
    attempts_left: int
    sends_left: int
    created_at: Timestamp
    expires_at: Timestamp
    resend_at: Timestamp | None
    delivery: DeliveryAnswer
    subject: str | None
    reference: str | None
    inbound: Annotated[
        InboundAnswer | None,
        Field(description="Only with `channel` `inbound`, while pending.", exclude_if=lambda value: value is None),
    ] = None
    proof: Annotated[
        str | None,
        Field(
            description="A proof of the approval, until it expires. Only if an inbound verification is read.",
            exclude_if=lambda value: value is None,
        ),
    ] = None


class CheckAnswer(Answer):
    """The result of a check."""

    result: Literal["approved", "incorrect", "exhausted", "expired", "locked", "canceled", "already_approved", "no_pin"]
    verification: VerificationAnswer
    proof: Annotated[str | None, Field(description="A signed statement of the approval (JWT); null unless `approved`.")]
    retry_at: Annotated[
        Timestamp | None, Field(description="Only with `locked`.", exclude_if=lambda at: at is None)
    ] = None


class EventAnswer(Answer):
    """Something that happened to a verification."""

    at: Timestamp
    type: str
    route: str | None
    result: str | None
    detail: str | None
    finished_at: Timestamp | None


class EventsAnswer(Answer):
    """The history of a verification, oldest first."""

    events: list[EventAnswer]


async def create(request: Request) -> Response:
    """Start a verification: send a PIN, or return the text that the user should send us."""
    call = await authenticated(request)
    body = await bodies.read(request, StartBody)
    asked = starts.StartRequest(client_id=call.client.id, **body.model_dump(exclude={"channel"}))
    start = inbound_starts.start if body.channel == "inbound" else starts.start

    async def run(idempotent: IdempotentRequest | None) -> Response:
        verification, created = await start(call.ctx, asked, idempotent)
        headers = rate_limits.headers(verification.quota)
        return answered(VerificationAnswer, verification, 201 if created else 200, headers)

    return await once(call, body, run, lambda verification_id: _current(call, verification_id, 201))


async def check(request: Request) -> Response:
    """Check a PIN, which uses an attempt."""
    call = await authenticated(request)
    body = await bodies.read(request, CheckBody)
    asked = checks.CheckRequest(
        client_id=call.client.id,
        verification_id=call.id,
        pin=body.pin.get_secret_value(),
        session=body.session,
        to=body.to,
        purpose=body.purpose,
    )

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return answered(CheckAnswer, await checks.check(call.ctx, asked, idempotent))

    return await once(call, body, run)


async def resend(request: Request) -> Response:
    """Send a new PIN for the same verification; attempts are not given back."""
    call = await authenticated(request)
    await bodies.read_empty(request)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        verification = await resends.resend(call.ctx, call.client.id, call.id, idempotent)
        headers = rate_limits.headers(verification.quota)
        return answered(VerificationAnswer, verification, headers=headers)

    return await once(call, None, run, lambda verification_id: _current(call, verification_id))


async def cancel(request: Request) -> Response:
    """Cancel a pending verification."""
    call = await authenticated(request)
    await bodies.read_empty(request)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return answered(VerificationAnswer, await lifecycle.cancel(call.ctx, call.client.id, call.id, idempotent))

    return await once(call, None, run)


async def read(request: Request) -> Response:
    """Return the current verification."""
    call = await authenticated(request)
    return await _current(call, call.id)


async def events(request: Request) -> Response:
    """Return the history of a verification, oldest first, without PINs."""
    call = await authenticated(request)
    found = await lifecycle.list_events(call.ctx, call.client.id, call.id)
    return answered(EventsAnswer, {"events": found})


async def _current(call: Call, verification_id: str, status: int = 200) -> Response:
    return answered(VerificationAnswer, await lifecycle.read(call.ctx, call.client.id, verification_id), status)
