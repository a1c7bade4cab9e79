"""The call under /v1/factors/recovery-codes: its body, answers and handler."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.kit import bodies
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import authenticated, once, shown_proof
from otp_service.api.kit.fields import Body, ChallengeProof, Subject
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.factors import recovery_codes

EXAMPLE_OF_CODES: dict[str, Any] = {"remaining": 10, "created_at": "2026-11-23T15:43:24.398Z"}


class RecoveryCodesBody(Body):
    """Whose recovery codes are made or replaced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "user-17"}]})

    subject: Subject
    proof: ChallengeProof = None


class RecoveryCodesAnswer(Answer):
    """The recovery codes of a user."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_OF_CODES]})

    remaining: Annotated[int, Field(description="How many codes are left.")]
    created_at: Annotated[Timestamp | None, Field(description="When they were made; null if there are none.")]


class NewRecoveryCodesAnswer(Answer):
    """New recovery codes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"codes": ["x7gq-2m0d-4k", "0n3v-8rzt-ac"], **EXAMPLE_OF_CODES}]}
    )

    codes: Annotated[list[str], Field(description="The codes; each works once. Shown only here.")]
    remaining: Annotated[int, Field(description="How many codes are left.")]
    created_at: Annotated[Timestamp, Field(description="When they were made.")]


class RecoveryCodeUseAnswer(Answer):
    """The `data` of `factor.recovery_code_used`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "user-17", "remaining": 9}]})

    subject: Annotated[str, Field(description="The application's id of the user.")]
    remaining: Annotated[int, Field(description="How many codes are left.")]


async def replace(request: Request) -> Response:
    """Make ten recovery codes; the former ones end, which needs a proof."""
    call = await authenticated(request)
    body = await bodies.read(request, RecoveryCodesBody)
    proof = shown_proof(request, body.proof)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        made = await recovery_codes.replace(call.ctx, call.client.id, body.subject, proof, idempotent)
        return answered(NewRecoveryCodesAnswer, made, 201)

    return await once(call, body, run)
