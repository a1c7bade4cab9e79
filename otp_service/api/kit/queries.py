"""Reads query parameters, validated by the models that OpenAPI documents."""

from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.requests import Request

from otp_service.api.kit import bodies
from otp_service.errors import FieldError, invalid_fields

QueryT = TypeVar("QueryT", bound=BaseModel)


def read(request: Request, model: type[QueryT]) -> QueryT:
    """Return the query parameters. Refusal: `invalid` if one is unknown, missing, wrong or given twice."""
    try:
        pairs = parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise invalid_fields(FieldError("query", "Must be UTF-8, percent-encoded.")) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid_fields(FieldError("query", "Must have each parameter once."))
    return bodies.validated(model, found)
