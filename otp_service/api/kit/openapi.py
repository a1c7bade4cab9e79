"""Builds the OpenAPI 3.1 document from the table of routes and the models of bodies and answers."""

import inspect
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from otp_service import __version__
from otp_service.api.kit import examples
from otp_service.api.kit.answers import Problem
from otp_service.api.kit.calls import DELIVERY_ID, IDEMPOTENCY_KEY, PROOF, id_pattern
from otp_service.api.kit.operation import Event, Operation
from otp_service.api.kit.problems import MEDIA_TYPE, STATUS
from otp_service.errors import ErrorCode

TAGS = {
    "verifications": "Send a PIN to a phone number, check what the user types back.",
    "factors": "Enrol second factors of a user: authenticator apps, phones and recovery codes.",
    "challenges": "Let a user prove a second factor.",
    "devices": "Browsers and apps that a user asked to remember.",
    "subjects": "What is kept of a user, and its erasure.",
    "proofs": "Pass the approval of a verification from one program to another.",
    "notifications": "Messages without a PIN.",
    "opt-outs": "Numbers that want no messages.",
    "webhooks": "Events, posted to your application.",
    "service": "Health, metrics, and the description of the API. Without an API key.",
}
"""The groups of calls, in the order of /docs."""

_REF = "#/components/schemas/{model}"
_DESCRIPTIONS = {200: "OK.", 201: "Created.", 202: "Queued.", 204: "Done.", 503: "Not ready."}
_EXISTS_ALREADY = "One was pending: it is returned, and nothing was sent."
_OF_A_CALL_WITH_KEY: tuple[ErrorCode, ...] = ("unauthorized", "overloaded", "unavailable")
_OF_A_BODY: tuple[ErrorCode, ...] = ("malformed", "too_large", "unsupported_media_type", "invalid")
_OF_AN_IDEMPOTENCY_KEY: tuple[ErrorCode, ...] = ("idempotency_mismatch", "idempotency_in_progress")

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
    "example": "whd_4f1c9a0be2d84c6f9b3a7d5e8c1f2a60",
    "schema": {"type": "string", "pattern": f"^{DELIVERY_ID}$"},
}
_SUBJECT = {
    "name": "subject",
    "in": "path",
    "required": True,
    "description": "The application's id of the user, percent-encoded; a `/` in it as `%2F`.",
    "example": "user-17",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}
_X_PROOF = {
    "name": "X-Proof",
    "in": "header",
    "required": False,
    "description": "The proof of a challenge that the user has just passed. Works once.",
    "schema": {"type": "string", "pattern": f"^{PROOF}$"},
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


class _Schemas(GenerateJsonSchema):
    """Keeps the order of examples, and describes an optional field beside `anyOf`, as generators expect."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002
        """Return the schema as it is."""
        return value

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of a type or null."""
        found = super().nullable_schema(schema)
        description = found.get("anyOf", [{}])[0].pop("description", None)
        return found | ({"description": description} if description else {})


def document(operations: tuple[Operation, ...], server: str = "/", *, events: tuple[Event, ...] = ()) -> dict[str, Any]:
    """Return the document. `server`: the address of the service, by default that of the document."""
    return _document(operations, events) | {"servers": [{"url": server}]}


@cache
def _document(operations: tuple[Operation, ...], events: tuple[Event, ...]) -> dict[str, Any]:
    """Return the document without servers; built once, as anybody may request it at any rate."""
    bodies = {(each.body, "validation") for each in operations if each.body is not None}
    shapes = [answer for each in operations for answer in each.answers.values()]
    answers = {(answer, "serialization") for answer in shapes if isinstance(answer, type)}
    answers |= {(each.data, "serialization") for each in events}
    _, schemas = models_json_schema(
        sorted(bodies | answers | {(Problem, "serialization")}, key=lambda each: each[0].__name__),  # type: ignore[arg-type]
        ref_template=_REF,
        schema_generator=_Schemas,
    )
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas["$defs"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "otp_service",
            "version": __version__,
            "description": "Verifies phone numbers: sends a PIN and checks what the user types back.",
        },
        "servers": [],
        "security": [{"apiKey": []}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "webhooks": {each.name: {"post": _event(each)} for each in events},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "otp_..."}},
        },
    }


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.noun],
        "summary": inspect.getdoc(operation.handler),
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
    }
    if operation.body is not None:
        is_required = not operation.body_is_optional
        described["requestBody"] = {"required": is_required, "content": _body(operation.body, schemas)}
    if not operation.needs_api_key:
        described["security"] = []
    return described


def _event(event: Event) -> dict[str, Any]:
    properties = {
        "type": {"type": "string", "const": event.name},
        "timestamp": {"type": "string", "format": "date-time"},
        "data": {"$ref": _REF.format(model=event.data.__name__)},
    }
    body = {"type": "object", "properties": properties, "required": [*properties]}
    return {
        "summary": event.meaning,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"2XX": {"description": "The event arrived; with another answer it is posted again."}},
        "security": [],
    }


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    of_path = [_id(operation.path)] if "{id}" in operation.path else []
    of_path += [_DELIVERY_ID] if "{delivery_id}" in operation.path else []
    of_path += [_SUBJECT] if "{subject}" in operation.path else []
    of_headers = [_IDEMPOTENCY_KEY] if operation.changes_something else []
    of_headers += [_X_PROOF] if operation.takes_proof else []
    return of_path + _of_query(operation.query) + of_headers


def _of_query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "description": described.pop("description"),
            "example": described.pop("examples")[0],
            "schema": described,
        }
        for name, described in schema["properties"].items()
    ]


def _id(path: str) -> dict[str, Any]:
    noun = path.split("/")[2]
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": f"The id of the {noun.removesuffix('s')}.",
        "example": examples.IDS[noun],
        "schema": {"type": "string", "pattern": f"^{id_pattern(noun)}$"},
    }


def _description(operation: Operation, status: int) -> str:
    return _EXISTS_ALREADY if status == 200 and 201 in operation.answers else _DESCRIPTIONS[status]


def _responses(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": _description(operation, status)} | _answer(operation, status, schemas)
        for status in operation.answers
    }
    if operation.has_limit_headers:
        for answer in responses.values():
            answer["headers"] = _RATE_LIMIT
    for status, codes in sorted(_codes_by_status(operation).items()):
        responses[str(status)] = {
            "description": ", ".join(f"`{code}`" for code in codes),
            "content": {MEDIA_TYPE: _schema(Problem) | {"examples": _errors(operation, codes)}},
        }
        if status in _PROBLEM_HEADERS:
            responses[str(status)]["headers"] = _PROBLEM_HEADERS[status]
    return responses


def _codes_by_status(operation: Operation) -> dict[int, list[ErrorCode]]:
    codes = [*(_OF_A_CALL_WITH_KEY if operation.needs_api_key else ()), *operation.refusals]
    if operation.changes_something:
        codes += [*_OF_A_BODY, *_OF_AN_IDEMPOTENCY_KEY]
    elif operation.body is not None:
        codes += _OF_A_BODY
    elif operation.query is not None or "{subject}" in operation.path:
        codes.append("invalid")
    found: dict[int, list[ErrorCode]] = {}
    for code in codes:
        found.setdefault(STATUS[code], []).append(code)
    return found


def _errors(operation: Operation, codes: list[ErrorCode]) -> dict[str, Any]:
    noun = operation.noun.removesuffix("s")
    return {code: {"value": examples.of_error(code, operation.id, noun)} for code in codes}


def _answer(operation: Operation, status: int, schemas: dict[str, Any]) -> dict[str, Any]:
    answer = operation.answers[status]
    if answer is None:
        return {}
    if isinstance(answer, str):
        return {"content": {answer: {"schema": {"type": "string"}}}}
    described = _schema(answer)
    example = examples.of_answer(operation.id, status, described["schema"], schemas)
    return {"content": {"application/json": described | {"example": example}}}


def _body(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    described = _schema(model)
    return {"application/json": described | {"example": examples.of_schema(described["schema"], schemas)}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": _REF.format(model=model.__name__)}}
