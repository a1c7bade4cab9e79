"""The calls under /v1/verifications: their bodies, answers and handlers."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypeAliasType

from otp_service.api.kit import bodies, rate_limits
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import Call, authenticated, once
from otp_service.api.kit.examples import IDS
from otp_service.api.kit.fields import (
    Address,
    Body,
    Carrier,
    Locale,
    Pin,
    PurposeName,
    Reference,
    Session,
    SessionChallenge,
    Subject,
    To,
)
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.verifications import checks, inbound_starts, lifecycle, resends, starts
from otp_service.services.verifications.new_verifications import StartRequest
from otp_service.services.verifications.search import Status

Channel = TypeAliasType("Channel", Literal["sms", "inbound"])
VerificationStatus = TypeAliasType("VerificationStatus", Status)
DeliveryStatus = TypeAliasType("DeliveryStatus", Literal["sent", "delivered", "undelivered", "unknown", "failed"])
CheckResult = TypeAliasType(
    "CheckResult",
    Literal["approved", "incorrect", "exhausted", "expired", "locked", "canceled", "already_approved", "no_pin"],
)

_EXAMPLE: dict[str, Any] = {
    "id": IDS["verifications"],
    "status": "pending",
    "reason": None,
    "purpose": "signup",
    "to": "+573001234567",
    "pin_length": 6,
    "attempts_left": 5,
    "sends_left": 2,
    "created_at": "2026-11-23T15:43:24.398Z",
    "expires_at": "2026-11-23T15:53:24.398Z",
    "resend_at": "2026-11-23T15:43:54.398Z",
    "delivery": {"status": "sent", "route": "pin", "sent_at": "2026-11-23T15:43:24.642Z"},
    "subject": "user-17",
    "reference": None,
}
_EXAMPLE_OF_A_CHECK: dict[str, Any] = {
    "result": "approved",
    "verification": _EXAMPLE | {"status": "approved", "attempts_left": 4, "resend_at": None},
    "proof": "eyJhbGciOiJFUzI1NiIs...",
}
_EXAMPLE_OF_AN_EVENT: dict[str, Any] = {
    "at": "2026-11-23T15:43:24.398Z",
    "type": "send",
    "route": "pin",
    "result": "accepted",
    "detail": "ok",
    "finished_at": "2026-11-23T15:43:24.642Z",
}


def _to_is_required_unless_decoy(schema: dict[str, Any]) -> None:
    # Not anyOf, of which generators make two models.
    schema["if"] = {"required": ["decoy"], "properties": {"decoy": {"const": True}}}
    schema["else"] = {"required": ["to"], "properties": {"to": {"type": "string"}}}
    schema["examples"] = [{"to": "+573001234567", "purpose": "signup", "session": "s-1", "subject": "user-17"}]


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

    model_config = ConfigDict(json_schema_extra={"examples": [{"pin": "123456", "session": "s-1"}]})

    pin: Pin
    session: Session | None = None
    to: To | None = None
    purpose: PurposeName | None = None


class DeliveryAnswer(Answer):
    """The delivery of the newest message; all fields are null if none is sent."""

    status: Annotated[
        DeliveryStatus | None,
        Field(description="`unknown`: being sent, or the outcome is unknown. No other field depends on it."),
    ]
    route: Annotated[str | None, Field(description="`pin`, `sms` or `mt`; `test` for a test number.")]
    sent_at: Annotated[Timestamp | None, Field(description="When the outcome of the send was known; null before.")]


class InboundAnswer(Answer):
    """What the user should text us."""

    send_to: Annotated[str, Field(description="The short or long code to text.")]
    text: Annotated[str, Field(description="The phrase to text.")]


class VerificationAnswer(Answer):
    """One attempt to prove that the user holds a phone number."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: Annotated[str, Field(description="The id of the verification.")]
    status: Annotated[VerificationStatus, Field(description="`pending`, then one final status.")]
    reason: Annotated[str | None, Field(description="Why it was `canceled` or `failed`, else null.")]
    purpose: Annotated[str, Field(description="`purpose` of the start.")]
    to: Annotated[
        str | None,
        Field(description="The number in E.164; null for a decoy without one, and once retention has deleted it."),
    ]
    pin_length: Annotated[int, Field(description="The number of digits of the PIN.")]
    attempts_left: Annotated[int, Field(description="How many PINs can still be checked; resends add none.")]
    sends_left: Annotated[int, Field(description="How many messages can still be sent.")]
    created_at: Annotated[Timestamp, Field(description="When it was started.")]
    expires_at: Annotated[Timestamp, Field(description="When it expires if it is still pending.")]
    resend_at: Annotated[
        Timestamp | None, Field(description="The earliest time of the next resend; null if there is none.")
    ]
    delivery: Annotated[DeliveryAnswer, Field(description="The delivery of the newest message.")]
    subject: Annotated[str | None, Field(description="`subject` of the start.")]
    reference: Annotated[str | None, Field(description="`reference` of the start.")]
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

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_OF_A_CHECK]})

    result: Annotated[CheckResult, Field(description="Only `approved` means success; at most one check returns it.")]
    verification: Annotated[VerificationAnswer, Field(description="The verification after the check.")]
    proof: Annotated[str | None, Field(description="A signed statement of the approval (JWT); null unless `approved`.")]
    retry_at: Annotated[
        Timestamp | None,
        Field(
            description="When the number can be checked again. Only with `locked`.", exclude_if=lambda at: at is None
        ),
    ] = None


class EventAnswer(Answer):
    """Something that happened to a verification."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_OF_AN_EVENT]})

    at: Annotated[Timestamp, Field(description="When it happened.")]
    type: Annotated[str, Field(description="`created`, `send`, `receipt`, `check`, `inbound`, or the final status.")]
    route: Annotated[str | None, Field(description="The route of a `send` or `receipt`, else null.")]
    result: Annotated[
        str | None, Field(description="The result of a `send`, `receipt`, `check` or `inbound`, else null.")
    ]
    detail: Annotated[
        str | None,
        Field(description="The purpose of `created`, the reason of a `send` or of a final status, else null."),
    ]
    finished_at: Annotated[Timestamp | None, Field(description="When the outcome of a `send` was known, else null.")]


class EventsAnswer(Answer):
    """The history of a verification, oldest first."""

    events: Annotated[list[EventAnswer], Field(description="The events.")]


async def create(request: Request) -> Response:
    """Start a verification: send a PIN, or return the text that the user should send us."""
    call = await authenticated(request)
    body = await bodies.read(request, StartBody)
    asked = StartRequest(client_id=call.client.id, **body.model_dump(exclude={"channel"}))
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
