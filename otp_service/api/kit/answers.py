"""The base of response bodies, and the types that several of them share."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from starlette.responses import Response

from otp_service.clock import rfc3339
from otp_service.errors import ErrorCode


class Answer(BaseModel):
    """A response body; it has the fields of what a service returned."""

    model_config = ConfigDict(frozen=True, from_attributes=True, hide_input_in_errors=True)


Timestamp = Annotated[
    float,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23T15:43:24.398Z"]}),
]
"""Seconds since the epoch, written in RFC 3339."""


class WrongField(Answer):
    """A wrong field, without its value."""

    field: Annotated[str, Field(description="The name of the field or header.", examples=["to"])]
    detail: Annotated[str, Field(description="What is wrong with it.", examples=["Required."])]


class Problem(Answer):
    """An error (RFC 9457). `code` is stable; `detail` says what to do next."""

    type: Annotated[str, Field(description="`urn:otp-service:problem:` and the code.")]
    title: Annotated[str, Field(description="The code in words.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    code: Annotated[ErrorCode, Field(description="What is wrong; stable.")]
    detail: Annotated[str, Field(description="What is wrong and what to do, for a developer. The text may change.")]
    errors: Annotated[
        list[WrongField] | None, Field(description="Every wrong field. Only with `invalid` and `invalid_number`.")
    ] = None
    limit: Annotated[
        str | None, Field(description="The limit that was reached, such as `pause_per_number`. Only with a 429.")
    ] = None
    verification_id: Annotated[
        str | None, Field(description="The verification of a start or resend that failed while it was sending.")
    ] = None


def answered(
    model: type[Answer], value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response with what a service returned."""
    body = model.model_validate(value).model_dump_json()
    return Response(body, status, headers, media_type="application/json")
