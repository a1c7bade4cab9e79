"""The calls under /v1/factors: their bodies, answers and handlers."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypeAliasType

from otp_service.api.factors.recovery_codes import RecoveryCodesAnswer
from otp_service.api.kit import bodies, queries
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import authenticated, once, shown_proof
from otp_service.api.kit.examples import IDS
from otp_service.api.kit.fields import Body, ChallengeProof, Pin, Subject, Text
from otp_service.api.verifications import CheckResult
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.factors import enrolment, factors
from otp_service.services.factors.factors import FactorRequest

FactorType = TypeAliasType("FactorType", Literal["totp", "sms"])
FactorStatus = TypeAliasType("FactorStatus", Literal["unverified", "active", "locked"])

EXAMPLE: dict[str, Any] = {
    "id": IDS["factors"],
    "subject": "user-17",
    "type": "totp",
    "name": "My phone's app",
    "status": "active",
    "hint": None,
    "preferred": False,
    "created_at": "2026-11-23T15:43:24.398Z",
    "verified_at": "2026-11-23T15:43:41.182Z",
    "last_used_at": None,
}
_NEW: dict[str, Any] = EXAMPLE | {"status": "unverified", "verified_at": None}
_EXAMPLE_OF_AN_APP: dict[str, Any] = {
    "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "uri": "otpauth://totp/Example:ana?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example",
    "qr_svg": "<svg viewBox=...></svg>",
}

FactorName = Annotated[Text, Field(description="What the user calls it.", examples=["My phone's app"])]


def _a_phone_needs_a_proof(schema: dict[str, Any]) -> None:
    # Not anyOf, of which generators make two models.
    schema["if"] = {"properties": {"type": {"const": "sms"}}}
    schema["then"] = {
        "required": ["proof"],
        "properties": {"proof": {"type": "string"}, "account_name": {"type": "null"}},
    }
    schema["examples"] = [{"subject": "user-17", "type": "totp", "account_name": "ana@example.com"}]


class FactorBody(Body):
    """Adds an authenticator app, or a phone whose number was verified."""

    model_config = ConfigDict(json_schema_extra=_a_phone_needs_a_proof)

    subject: Subject
    type: Annotated[FactorType, Field(description="`totp`: an authenticator app; `sms`: a phone.")]
    name: FactorName | None = None
    account_name: Annotated[
        Annotated[Text, Field(max_length=64)] | None,
        Field(description="What the app shows beside the brand; `subject` without it. Only with `totp`."),
    ] = None
    proof: Annotated[
        str | None,
        Field(
            repr=False,
            description="With `sms`, required: the proof of a verification of the number. With `totp`: the proof of a"
            " challenge, if the user has an active factor; or send that as `X-Proof`.",
            examples=["eyJhbGciOiJFUzI1NiIs..."],
        ),
    ] = Field(default=None, validate_default=True)

    @field_validator("account_name")
    @classmethod
    def _only_of_an_app(cls, account_name: str | None, info: ValidationInfo) -> str | None:
        if account_name is not None and info.data.get("type") == "sms":
            raise ValueError("Must be absent with sms.")
        return account_name

    @field_validator("proof")
    @classmethod
    def _of_a_phone(cls, proof: str | None, info: ValidationInfo) -> str | None:
        if proof is None and info.data.get("type") == "sms":
            raise ValueError("Required with sms: the proof of a verification of the number.")
        return proof


class VerifyFactorBody(Body):
    """The first value that an authenticator app shows."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"pin": "123456"}]})

    pin: Annotated[Pin, Field(description="The 6 digits that the app shows; spaces and hyphens are removed.")]


class ChangeFactorBody(Body):
    """What changes of a factor; what is absent stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "My phone's app", "preferred": True}]})

    name: FactorName | None = None
    preferred: (
        Annotated[bool, Field(description="True: challenges use it first, instead of another one. False: not first.")]
        | None
    ) = None


class ProofBody(Body):
    """The proof that a change needs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"proof": "eyJhbGciOiJFUzI1NiIs..."}]})

    proof: ChallengeProof = None


class SubjectQuery(Body):
    """The query of calls about a user."""

    subject: Subject


class FactorAnswer(Answer):
    """A second factor of a user."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: Annotated[str, Field(description="The id of the factor.")]
    subject: Annotated[str, Field(description="The application's id of the user.")]
    type: Annotated[FactorType, Field(description="`totp`: an authenticator app; `sms`: a phone.")]
    name: Annotated[str | None, Field(description="What the user calls it.")]
    status: Annotated[
        FactorStatus,
        Field(description="`unverified`: gone 10 minutes after it was added; `locked`: waits after wrong checks."),
    ]
    hint: Annotated[str | None, Field(description="The end of a phone's number, such as `...67`; null of an app.")]
    preferred: Annotated[bool, Field(description="Whether challenges use it first.")]
    created_at: Annotated[Timestamp, Field(description="When it was added.")]
    verified_at: Annotated[Timestamp | None, Field(description="When it became active; null before.")]
    last_used_at: Annotated[Timestamp | None, Field(description="When it last passed a challenge; null before.")]


class TotpAnswer(Answer):
    """What an authenticator app needs. No other call returns it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_OF_AN_APP]})

    secret: Annotated[str, Field(description="The secret in Base32, to type into an app.")]
    uri: Annotated[str, Field(description="The `otpauth://` URI, for a link on the phone itself.")]
    qr_svg: Annotated[str, Field(description="The URI as a QR code: an SVG image that scales to its container.")]


class NewFactorAnswer(FactorAnswer):
    """A new factor; an app with its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_NEW | {"totp": _EXAMPLE_OF_AN_APP}]})

    totp: Annotated[
        TotpAnswer | None,
        Field(description="Only of an app, and only here.", exclude_if=lambda totp: totp is None),
    ] = None


class FactorsAnswer(Answer):
    """The factors of a user."""

    factors: Annotated[list[FactorAnswer], Field(description="The factors, oldest first.")]
    recovery_codes: Annotated[RecoveryCodesAnswer, Field(description="The recovery codes.")]


class VerifyFactorAnswer(Answer):
    """The result of a value of a new app."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"result": "approved", "factor": EXAMPLE}]})

    result: Annotated[CheckResult, Field(description="Only `approved` makes the factor active.")]
    factor: Annotated[FactorAnswer, Field(description="The factor after the check.")]
    retry_at: Annotated[
        Timestamp | None,
        Field(description="When a value is compared again. Only with `locked`.", exclude_if=lambda at: at is None),
    ] = None


async def create(request: Request) -> Response:
    """Add a second factor: an authenticator app, which must be verified, or a phone, which is active at once."""
    call = await authenticated(request)
    body = await bodies.read(request, FactorBody)
    is_phone = body.type == "sms"
    proof = shown_proof(request, None if is_phone else body.proof)
    asked = FactorRequest(call.client.id, body.subject, body.name, proof)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        if is_phone:
            added = await factors.create_sms(call.ctx, asked, body.proof or "", idempotent)
        else:
            added = await factors.create_totp(call.ctx, asked, body.account_name, idempotent)
        return answered(NewFactorAnswer, added, 201)

    return await once(call, body, run)


async def verify(request: Request) -> Response:
    """Check the first value of a new authenticator app; a right one makes the factor active."""
    call = await authenticated(request)
    body = await bodies.read(request, VerifyFactorBody)
    factor_id, typed = call.id, body.pin.get_secret_value()

    async def run(idempotent: IdempotentRequest | None) -> Response:
        verified = await enrolment.verify(call.ctx, call.client.id, factor_id, typed, idempotent)
        return answered(VerifyFactorAnswer, verified)

    return await once(call, body, run)


async def list_all(request: Request) -> Response:
    """Return the second factors of a user, and how many recovery codes are left."""
    call = await authenticated(request)
    subject = queries.read(request, SubjectQuery).subject
    return answered(FactorsAnswer, await factors.list_all(call.ctx, call.client.id, subject))


async def read(request: Request) -> Response:
    """Return a second factor."""
    call = await authenticated(request)
    return answered(FactorAnswer, await factors.read(call.ctx, call.client.id, call.id))


async def change(request: Request) -> Response:
    """Change the name of a factor, or whether challenges use it first."""
    call = await authenticated(request)
    body = await bodies.read(request, ChangeFactorBody)
    factor_id = call.id

    async def run(idempotent: IdempotentRequest | None) -> Response:
        changed = await factors.change(
            call.ctx,
            call.client.id,
            factor_id,
            name=body.name,
            preferred=body.preferred,
            idempotent=idempotent,
        )
        return answered(FactorAnswer, changed)

    return await once(call, body, run)


async def remove(request: Request) -> Response:
    """Remove a second factor; the last active one only with a proof."""
    call = await authenticated(request)
    body = await bodies.read_optional(request, ProofBody)
    await factors.remove(call.ctx, call.client.id, call.id, shown_proof(request, body.proof))
    return Response(status_code=204)
