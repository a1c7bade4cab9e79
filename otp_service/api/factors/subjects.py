"""The calls under /v1/subjects: what is kept of a user, and its erasure."""

from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypeAliasType

from otp_service.api.factors.devices import DeviceAnswer
from otp_service.api.factors.factors import FactorAnswer, SubjectQuery
from otp_service.api.factors.recovery_codes import RecoveryCodesAnswer
from otp_service.api.kit import bodies
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import authenticated
from otp_service.api.kit.examples import IDS
from otp_service.api.verifications import VerificationAnswer, VerificationStatus
from otp_service.errors import FieldError, invalid_fields
from otp_service.services.factors import subjects

_PREFIX = b"/v1/subjects/"

FailureKind = TypeAliasType("FailureKind", Literal["factors", "recovery_codes"])


class FailureCountAnswer(Answer):
    """Consecutive wrong checks of a user."""

    kind: Annotated[FailureKind, Field(description="What was checked.")]
    checks: Annotated[int, Field(description="How many wrong checks in a row.", examples=[3])]
    waits_until: Annotated[Timestamp | None, Field(description="When the next one is compared; null without a wait.")]
    last_at: Annotated[Timestamp, Field(description="When the last one was.")]


class ChallengeOfSubjectAnswer(Answer):
    """A challenge of a user, or the enrolment of an authenticator app, whose id is that of the factor."""

    id: Annotated[str, Field(description="The id of the challenge or factor.", examples=[IDS["challenges"]])]
    status: Annotated[VerificationStatus, Field(description="`pending`, then one final status.")]
    reason: Annotated[str | None, Field(description="Why it was `canceled` or `failed`, else null.")]
    purpose: Annotated[str, Field(description="What it was for.", examples=["login"])]
    factor: Annotated[str | None, Field(description="The id of the factor; null if there was none.")]
    to: Annotated[str | None, Field(description="The number in E.164 that a PIN was sent to, while it is kept.")]
    attempts_left: Annotated[int, Field(description="How many values could still be checked.", examples=[5])]
    created_at: Annotated[Timestamp, Field(description="When it was started.")]
    expires_at: Annotated[Timestamp, Field(description="When it expires, or would have.")]


class ApprovedNumberAnswer(Answer):
    """The approval of a number of a user. The number itself is not kept with it."""

    since: Annotated[Timestamp, Field(description="When it was first approved.")]
    last_at: Annotated[Timestamp, Field(description="When it was last approved.")]


class SubjectAnswer(Answer):
    """Everything that is kept of a user; of challenges and verifications the newest 1,000."""

    subject: Annotated[str, Field(description="The application's id of the user.", examples=["user-17"])]
    created_at: Annotated[
        Timestamp | None, Field(description="When the first factor was added; null if there was none.")
    ]
    factors: Annotated[list[FactorAnswer], Field(description="The factors, oldest first.")]
    recovery_codes: Annotated[RecoveryCodesAnswer, Field(description="The recovery codes.")]
    devices: Annotated[list[DeviceAnswer], Field(description="The remembered devices, oldest first.")]
    failures: Annotated[list[FailureCountAnswer], Field(description="Wrong checks in a row.")]
    approved_numbers: Annotated[
        list[ApprovedNumberAnswer], Field(description="The numbers that were approved together with the user.")
    ]
    challenges: Annotated[list[ChallengeOfSubjectAnswer], Field(description="The challenges, newest first.")]
    verifications: Annotated[list[VerificationAnswer], Field(description="The verifications, newest first.")]


async def export(request: Request) -> Response:
    """Return everything that is kept of a user, for a request under data protection law."""
    call = await authenticated(request)
    return answered(SubjectAnswer, await subjects.export(call.ctx, call.client.id, _subject(request)))


async def erase(request: Request) -> Response:
    """Erase the factors, recovery codes and devices of a user, and what links verifications to the user."""
    call = await authenticated(request)
    await subjects.erase(call.ctx, call.client.id, _subject(request))
    return Response(status_code=204)


def _subject(request: Request) -> str:
    """Return the subject in the path, which may contain `/` as `%2F`. Refusal: `invalid`."""
    if request.scope["query_string"]:  # the rest of a subject whose ? is not encoded: this would be another subject
        raise invalid_fields(FieldError("query", "Must be absent. Encode ? in a subject as %3F."))
    # Not scope["path"], in which %2F and / are the same.
    encoded = request.scope["raw_path"].partition(b"?")[0].removeprefix(_PREFIX)
    try:
        subject = unquote(encoded.decode("ascii"), errors="strict")
    except ValueError:
        raise invalid_fields(FieldError("subject", "Must be UTF-8, percent-encoded.")) from None
    return bodies.validated(SubjectQuery, {"subject": subject}).subject
