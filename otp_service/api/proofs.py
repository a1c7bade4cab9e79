"""The calls about proofs: redemption and the public keys."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.kit import bodies
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import authenticated, once
from otp_service.api.kit.fields import Body, PurposeName, Session
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.verifications import proof_tokens, proofs

JWKS_HEADERS = {"Cache-Control": "max-age=300"}

_EXAMPLE_OF_A_BODY: dict[str, Any] = {"proof": "eyJhbGciOiJFUzI1NiIs...", "purpose": "signup", "session": "s-1"}
_EXAMPLE: dict[str, Any] = {
    "verification_id": "ver_yv7Hwn2_KRajpZPRUXK21g",
    "purpose": "signup",
    "to": "+573001234567",
    "subject": "user-17",
    "reference": None,
    "approved_at": "2026-11-23T15:43:41.182Z",
    "redeemed_at": "2026-11-23T15:43:42.011Z",
}
_EXAMPLE_OF_A_KEY: dict[str, Any] = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "kid": "ka52",
    "use": "sig",
    "alg": "ES256",
}


class RedeemBody(Body):
    """A proof, and what the application expects it to be for."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_OF_A_BODY]})

    proof: Annotated[str, Field(description="`proof` of an approved check or inbound verification.")]
    purpose: PurposeName
    session: (
        Annotated[Session, Field(description="Required if the start had `session` or `session_challenge`.")] | None
    ) = None


class RedeemedAnswer(Answer):
    """What a proof says; no other call gets it again."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    verification_id: Annotated[str, Field(description="The id of the approved verification.")]
    purpose: Annotated[str, Field(description="What the verification was for.")]
    to: Annotated[
        str | None,
        Field(description="The verified number in E.164; null if the proof is of a challenge that proved no number."),
    ]
    subject: Annotated[str | None, Field(description="`subject` of the start.")]
    reference: Annotated[str | None, Field(description="`reference` of the start.")]
    approved_at: Annotated[Timestamp, Field(description="When the verification was approved.")]
    redeemed_at: Annotated[Timestamp, Field(description="When this call redeemed the proof.")]
    test: Annotated[
        bool, Field(description="True for a test number; otherwise absent.", exclude_if=lambda is_test: not is_test)
    ] = False


class KeyAnswer(Answer):
    """A public key (RFC 7517, RFC 7518)."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_OF_A_KEY]})

    kty: Annotated[Literal["EC"], Field(description="The type of the key.")]
    crv: Annotated[Literal["P-256"], Field(description="The curve of the key.")]
    x: Annotated[str, Field(description="The x coordinate, base64url.")]
    y: Annotated[str, Field(description="The y coordinate, base64url.")]
    kid: Annotated[str, Field(description="The id of the key, as in the header of a proof.")]
    use: Annotated[Literal["sig"], Field(description="The key verifies signatures.")]
    alg: Annotated[Literal["ES256"], Field(description="The only algorithm of proofs.")]


class KeysAnswer(Answer):
    """A JSON Web Key Set (RFC 7517): a key for each entry of OTP_SECRET_KEYS."""

    keys: Annotated[list[KeyAnswer], Field(description="The first one signs; others may have signed earlier proofs.")]


async def redeem(request: Request) -> Response:
    """Redeem a proof: at most one call gets a 200."""
    call = await authenticated(request)
    body = await bodies.read(request, RedeemBody)
    asked = proofs.RedeemRequest(call.client.id, **body.model_dump())

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return answered(RedeemedAnswer, await proofs.redeem(call.ctx, asked, idempotent))

    return await once(call, body, run)


async def jwks(request: Request) -> Response:
    """Return the public keys of proofs (RFC 7517)."""
    keys = proof_tokens.public_keys(request.app.state.context.vault)
    return answered(KeysAnswer, {"keys": keys}, headers=JWKS_HEADERS)
