"""Builds the OpenAPI 3.1 document from the table of routes and the models of bodies and answers."""

import inspect
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from otp_service import __version__
from otp_service.api.kit.answers import Problem
from otp_service.api.kit.calls import IDEMPOTENCY_KEY, id_pattern
from otp_service.api.kit.operation import Operation
from otp_service.api.kit.problems import MEDIA_TYPE, STATUS

_REF = "#/components/schemas/{model}"
_DESCRIPTIONS = {200: "OK.", 201: "Created.", 202: "Queued.", 204: "Done.", 503: "Not ready."}
_OF_A_CALL_WITH_KEY = ("unauthorized", "overloaded", "unavailable")
_OF_A_BODY = ("malformed", "too_large", "unsupported_media_type", "invalid")
_OF_AN_IDEMPOTENCY_KEY = ("idempotency_mismatch", "idempotency_in_progress")

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "For 24 hours, the same key returns the saved response without any further effect.",
    "schema": {"type": "string", "pattern": f"^({IDEMPOTENCY_KEY})$"},
}
_DELIVERY_ID = {
    "name": "delivery_id",
    "in": "path",
    "required": True,
    "description": "The id of the delivery.",
    "schema": {"type": "string", "pattern": "^whd_[0-9a-f]{32}$"},
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}
_WWW_AUTHENTICATE = {
    "WWW-Authenticate": {"description": "`Bearer`.", "required": True, "schema": {"type": "string", "const": "Bearer"}}
}
_RATE_LIMIT: dict[str, dict[str, Any]] = {
    "RateLimit-Policy": {"description": "A limit: `q` requests in `w` seconds.", "schema": {"type": "string"}},
    "RateLimit": {"description": "The rest of it: `r` now, one more in `t` seconds.", "schema": {"type": "string"}},
}
_LIMITED = _RETRY_AFTER | {name: {**header, "required": True} for name, header in _RATE_LIMIT.items()}
_PROBLEM_HEADERS = {401: _WWW_AUTHENTICATE, 429: _LIMITED, 503: _RETRY_AFTER}


@cache
def document(operations: tuple[Operation, ...]) -> dict[str, Any]:
    """Return the document; built once, as anybody may request it at any rate."""
    bodies = {(each.body, "validation") for each in operations if each.body is not None}
    shapes = [answer for each in operations for answer in each.answers.values()]
    answers = {(answer, "serialization") for answer in shapes if isinstance(answer, type)}
    _, schemas = models_json_schema(
        sorted(bodies | answers | {(Problem, "serialization")}, key=lambda each: each[0].__name__),  # type: ignore[arg-type]
        ref_template=_REF,
    )
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "otp_service",
            "version": __version__,
            "description": "Verifies phone numbers: sends a PIN and checks what the user types back.",
        },
        "security": [{"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "otp_..."}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{operation.handler.__module__.rpartition('.')[2]}.{operation.handler.__name__}",
        "summary": inspect.getdoc(operation.handler),
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content("application/json", operation.body)}
    if not operation.needs_api_key:
        described["security"] = []
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    of_path = [_id(operation.path)] if "{id}" in operation.path else []
    of_path += [_DELIVERY_ID] if "{delivery_id}" in operation.path else []
    return of_path + ([_IDEMPOTENCY_KEY] if operation.changes_something else [])


def _id(path: str) -> dict[str, Any]:
    noun = path.split("/")[2]
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": f"The id of the {noun.removesuffix('s')}.",
        "schema": {"type": "string", "pattern": f"^{id_pattern(noun)}$"},
    }


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": _DESCRIPTIONS[status], **({"content": _answer(answer)} if answer else {})}
        for status, answer in operation.answers.items()
    }
    if operation.tells_what_is_left:
        for answer in responses.values():
            answer["headers"] = _RATE_LIMIT
    for status, codes in sorted(_codes_by_status(operation).items()):
        responses[str(status)] = {
            "description": ", ".join(f"`{code}`" for code in codes),
            "content": _content(MEDIA_TYPE, Problem),
        }
        if status in _PROBLEM_HEADERS:
            responses[str(status)]["headers"] = _PROBLEM_HEADERS[status]
    return responses


def _codes_by_status(operation: Operation) -> dict[int, list[str]]:
    codes = [*(_OF_A_CALL_WITH_KEY if operation.needs_api_key else ()), *operation.refusals]
    if operation.changes_something:
        codes += [*_OF_A_BODY, *_OF_AN_IDEMPOTENCY_KEY]
    found: dict[int, list[str]] = {}
    for code in codes:
        found.setdefault(STATUS[code], []).append(code)
    return found


def _answer(answer: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {answer: {"schema": {"type": "string"}}}
    return _content("application/json", answer)


def _content(media_type: str, model: type[BaseModel]) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(model=model.__name__)}}}
