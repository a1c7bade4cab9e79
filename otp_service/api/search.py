"""The search for verifications: its body, answer and handler."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, StrictInt, model_validator
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.kit import bodies
from otp_service.api.kit.answers import Answer, answered
from otp_service.api.kit.calls import authenticated, once
from otp_service.api.kit.fields import Body, Moment, Reference, Subject, To, seconds
from otp_service.api.verifications import VerificationAnswer, VerificationStatus
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.verifications import search
from otp_service.services.verifications.search import SearchRequest

_ONE_OF = ("to", "subject", "reference")


def _one_is_required(schema: dict[str, Any]) -> None:
    # Not anyOf, of which generators make three models.
    schema["not"] = {"properties": {name: {"type": "null"} for name in _ONE_OF}}
    schema["examples"] = [{"subject": "user-17"}]


class SearchBody(Body):
    """What the verifications must match; at least one of `to`, `subject` and `reference`."""

    model_config = ConfigDict(json_schema_extra=_one_is_required)

    to: Annotated[
        To | None,
        Field(description="The number in E.164, until retention deletes it.", examples=["+573001234567"]),
    ] = None
    subject: Subject | None = None
    reference: Reference | None = None
    status: Annotated[VerificationStatus | None, Field(description="The present status.")] = None
    created_after: Annotated[Moment | None, Field(description="Only verifications created after this time.")] = None
    limit: Annotated[StrictInt, Field(ge=1, le=100, description="The most verifications of one response.")] = 20
    cursor: Annotated[
        str | None, Field(min_length=1, max_length=512, description="`next_cursor` of the response before.")
    ] = None

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if self.to is None and self.subject is None and self.reference is None:
            raise ValueError("Must have to, subject or reference.")
        return self


class SearchAnswer(Answer):
    """The client's verifications that match, newest first."""

    verifications: Annotated[list[VerificationAnswer], Field(description="At most `limit`, newest first.")]
    next_cursor: Annotated[str | None, Field(description="For the next, older ones; null if there are none.")]


async def find(request: Request) -> Response:
    """Find verifications by number, subject or reference, newest first."""
    call = await authenticated(request)
    body = await bodies.read(request, SearchBody)
    created_after = seconds(body.created_after) if body.created_after is not None else None
    fields = body.model_dump(exclude={"created_after"})
    asked = SearchRequest(client_id=call.client.id, created_after=created_after, **fields)

    async def run(_: IdempotentRequest | None) -> Response:
        return answered(SearchAnswer, await search.search(call.ctx, asked))

    return await once(call, body, run)
