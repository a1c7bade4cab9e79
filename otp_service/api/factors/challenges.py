"""The calls under /v1/challenges: their bodies, answers and handlers."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.kit import bodies, rate_limits
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import Call, authenticated, once
from otp_service.api.kit.examples import IDS
from otp_service.api.kit.fields import Address, Body, Locale, PurposeName, Session, Subject
from otp_service.api.verifications import CheckResult, DeliveryAnswer, EventsAnswer, VerificationStatus
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.factors.challenges import challenges, checks, sends, starts
from otp_service.services.factors.challenges.challenges import Challenge
from otp_service.services.factors.challenges.checks import ChallengeCheckRequest
from otp_service.services.factors.challenges.new_challenges import ChallengeRequest

_LONGEST_TYPED = 64
_APP: dict[str, Any] = {"id": IDS["factors"], "type": "totp", "name": "My phone's app", "hint": None}
_PHONE: dict[str, Any] = {"id": "fac_2r8XkVn0_QyTzL3bHsWm5w", "type": "sms", "name": None, "hint": "...67"}
_EXAMPLE: dict[str, Any] = {
    "id": IDS["challenges"],
    "status": "pending",
    "reason": None,
    "purpose": "login",
    "subject": "user-17",
    "factor": _APP,
    "factors": [_PHONE],
    "attempts_left": 5,
    "sends_left": 3,
    "resend_at": None,
    "created_at": "2026-11-23T15:43:24.398Z",
    "expires_at": "2026-11-23T15:53:24.398Z",
    "delivery": {"status": None, "route": None, "sent_at": None},
}
_EXAMPLE_OF_A_CHECK: dict[str, Any] = {
    "result": "approved",
    "challenge": _EXAMPLE | {"status": "approved", "attempts_left": 4},
    "proof": "eyJhbGciOiJFUzI1NiIs...",
    "device": None,
}


def _checked_typed(secret: SecretStr) -> SecretStr:
    if not 1 <= len(secret.get_secret_value()) <= _LONGEST_TYPED:
        raise ValueError("Must be the PIN, the value that the app shows, or a recovery code.")
    return secret


Typed = Annotated[
    SecretStr,
    AfterValidator(_checked_typed),
    # Without the format `password` of a SecretStr: generated clients would send asterisks.
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _LONGEST_TYPED}),
    Field(
        description="The PIN of the SMS, the value that the app shows, or a recovery code in any case and spacing.",
        examples=["123456", "x7gq-2m0d-4k"],
    ),
]
FactorId = Annotated[str, Field(min_length=1, max_length=64, examples=[IDS["factors"]])]


class ChallengeBody(Body):
    """Challenges a user to prove a second factor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "user-17", "session": "s-1"}]})

    subject: Subject
    purpose: PurposeName = "login"
    factor: (
        Annotated[
            FactorId,
            Field(
                description="A factor of the subject, or `recovery_code`: nothing is sent. Without it: the preferred"
                " factor, else an authenticator app before a phone."
            ),
        ]
        | None
    ) = None
    device: Annotated[
        str | None,
        Field(
            max_length=256,
            repr=False,
            description="`device` of an earlier approval: if it is remembered, the challenge is approved at once."
            " Never for `password_reset`.",
        ),
    ] = None
    session: Session | None = None
    user_ip: Address | None = None
    locale: Locale | None = None
    decoy: Annotated[
        bool, Field(description="For a user who does not exist: looks like a challenge of an app, never approves.")
    ] = False


class ChallengeCheckBody(Body):
    """What the user typed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"pin": "123456", "session": "s-1"}]})

    pin: Typed
    session: Session | None = None
    remember: Annotated[bool, Field(description="Remember this browser or app: an approval returns `device`.")] = False


class SwitchBody(Body):
    """The factor to switch to."""

    factor: Annotated[FactorId, Field(description="The id of another active factor of the subject.")]


class FactorChoiceAnswer(Answer):
    """A factor that a challenge can be about."""

    model_config = ConfigDict(json_schema_extra={"examples": [_APP]})

    id: Annotated[str, Field(description="The id of the factor.")]
    type: Annotated[str, Field(description="`totp` or `sms`.")]
    name: Annotated[str | None, Field(description="The name that the user gave it.")]
    hint: Annotated[str | None, Field(description="The end of the phone's number; null for an app.")]


class ChallengeAnswer(Answer):
    """One use of a second factor."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: Annotated[str, Field(description="The id of the challenge.")]
    status: Annotated[VerificationStatus, Field(description="`pending`, then one final status.")]
    reason: Annotated[str | None, Field(description="Why it was `canceled` or `failed`, else null.")]
    purpose: Annotated[str, Field(description="`purpose` of the start.")]
    subject: Annotated[str | None, Field(description="`subject` of the start; null once it was erased.")]
    factor: Annotated[
        FactorChoiceAnswer | None,
        Field(description="The factor that is challenged; null if only a recovery code or a device is."),
    ]
    factors: Annotated[list[FactorChoiceAnswer], Field(description="The others that it can be switched to.")]
    attempts_left: Annotated[int, Field(description="How many values can still be checked; a switch adds none.")]
    sends_left: Annotated[int, Field(description="How many messages can still be sent.")]
    resend_at: Annotated[
        Timestamp | None, Field(description="The earliest time of the next message; null if none can be sent.")
    ]
    created_at: Annotated[Timestamp, Field(description="When it was started.")]
    expires_at: Annotated[Timestamp, Field(description="When it expires if it is still pending.")]
    delivery: Annotated[DeliveryAnswer, Field(description="The delivery of the newest message.")]
    proof: Annotated[
        str | None,
        Field(
            description="A proof of the approval. Only if a remembered device passed the challenge at its start.",
            exclude_if=lambda value: value is None,
        ),
    ] = None


class ChallengeCheckAnswer(Answer):
    """The result of a check."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_OF_A_CHECK]})

    result: Annotated[CheckResult, Field(description="Only `approved` means success; at most one check returns it.")]
    challenge: Annotated[ChallengeAnswer, Field(description="The challenge after the check.")]
    proof: Annotated[str | None, Field(description="A signed statement of the approval (JWT); null unless `approved`.")]
    device: Annotated[
        str | None, Field(description="The token of the remembered device; null unless `remember` and `approved`.")
    ]
    retry_at: Annotated[
        Timestamp | None,
        Field(
            description="When the subject can be checked again. Only with `locked`.", exclude_if=lambda at: at is None
        ),
    ] = None


async def create(request: Request) -> Response:
    """Start a challenge: send a PIN to a phone, or wait for the value of an authenticator app."""
    call = await authenticated(request)
    body = await bodies.read(request, ChallengeBody)
    asked = ChallengeRequest(client_id=call.client.id, **body.model_dump())

    async def run(idempotent: IdempotentRequest | None) -> Response:
        challenge, created = await starts.start(call.ctx, asked, idempotent)
        return _answered(challenge, 201 if created else 200)

    return await once(call, body, run, lambda challenge_id: _current(call, challenge_id, 201))


async def check(request: Request) -> Response:
    """Check a PIN, the value of an authenticator app or a recovery code, which uses an attempt."""
    call = await authenticated(request)
    body = await bodies.read(request, ChallengeCheckBody)
    asked = ChallengeCheckRequest(call.client.id, call.id, body.pin.get_secret_value(), body.session, body.remember)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return answered(ChallengeCheckAnswer, await checks.check(call.ctx, asked, idempotent))

    return await once(call, body, run)


async def resend(request: Request) -> Response:
    """Send a new PIN to the phone of a challenge; attempts are not given back."""
    call = await authenticated(request)
    await bodies.read_empty(request)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return _answered(await sends.resend(call.ctx, call.client.id, call.id, idempotent))

    return await once(call, None, run, lambda challenge_id: _current(call, challenge_id))


async def switch(request: Request) -> Response:
    """Switch a pending challenge to another factor of the subject; a phone gets a PIN."""
    call = await authenticated(request)
    body = await bodies.read(request, SwitchBody)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return _answered(await sends.switch(call.ctx, call.client.id, call.id, body.factor, idempotent))

    return await once(call, body, run, lambda challenge_id: _current(call, challenge_id))


async def cancel(request: Request) -> Response:
    """Cancel a pending challenge."""
    call = await authenticated(request)
    await bodies.read_empty(request)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return _answered(await challenges.cancel(call.ctx, call.client.id, call.id, idempotent))

    return await once(call, None, run)


async def read(request: Request) -> Response:
    """Return the current challenge."""
    call = await authenticated(request)
    return await _current(call, call.id)


async def events(request: Request) -> Response:
    """Return the history of a challenge, oldest first, without PINs."""
    call = await authenticated(request)
    return answered(EventsAnswer, {"events": await challenges.list_events(call.ctx, call.client.id, call.id)})


async def _current(call: Call, challenge_id: str, status: int = 200) -> Response:
    return _answered(await challenges.read(call.ctx, call.client.id, challenge_id), status)


def _answered(challenge: Challenge, status: int = 200) -> Response:
    return answered(ChallengeAnswer, challenge, status, rate_limits.headers(challenge.quota))
