"""The base of response bodies, and the types that several of them share."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from starlette.responses import Response

from otp_service.clock import rfc3339


class Answer(BaseModel):
    """A response body; it has the fields of what a service returned."""

    model_config = ConfigDict(frozen=True, from_attributes=True, hide_input_in_errors=True)


Timestamp = Annotated[
    float,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""Seconds since the epoch, written in RFC 3339."""


class WrongField(Answer):
    """A wrong field, without its value."""

    field: str
    detail: str


class Problem(Answer):
    """An error (RFC 9457). `code` is stable; `detail` says what to do next."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[WrongField] | None = None
    limit: str | None = None
    verification_id: str | None = None


def answered(
    model: type[Answer], value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response with what a service returned."""
    body = model.model_validate(value).model_dump_json()
    return Response(body, status, headers, media_type="application/json")
