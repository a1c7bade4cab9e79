"""Reads request bodies: strict JSON of at most 16 KiB, validated by the models that OpenAPI documents."""

import json
import re
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from otp_service.errors import FieldError, Refusal, invalid_fields

MOST_BYTES = 16 * 1024
_MEDIA_TYPE = re.compile(r"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_]{1,40}")
_SUBJECT = re.compile("^(Input|String) should ")
_REASONS = {
    "missing": "Required.",
    "extra_forbidden": "Unknown field.",
    "model_type": "Must be a JSON object.",
}

BodyT = TypeVar("BodyT", bound=BaseModel)


async def read(request: Request, model: type[BodyT]) -> BodyT:
    """Return the body. Refusals: `unsupported_media_type`, `too_large`, `malformed`, `invalid`."""
    _check_media_type(request)
    return validated(model, parse(await raw(request)))


async def read_optional(request: Request, model: type[BodyT]) -> BodyT:
    """Return the body; without one, the model with its defaults. Refusals: those of `read`."""
    found = await raw(request)
    if not found:
        return validated(model, {})
    _check_media_type(request)
    return validated(model, parse(found))


async def read_empty(request: Request) -> None:
    """Reject any body except an empty one and `{}`."""
    found = await raw(request)
    if not found:
        return
    _check_media_type(request)
    value = parse(found)
    if value != {}:
        raise Refusal("invalid", "This call takes no body.", errors=[FieldError("body", "Must be empty.")])


def _check_media_type(request: Request) -> None:
    if not _MEDIA_TYPE.fullmatch(request.headers.get("content-type", "")) or "content-encoding" in request.headers:
        raise Refusal("unsupported_media_type", "Send application/json in UTF-8, uncompressed.")


async def raw(request: Request, most: int = MOST_BYTES) -> bytes:
    """Return the raw body. Refusal: `too_large`."""
    too_large = Refusal("too_large", f"The body must have at most {most} bytes.")
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced[:12]) > most:
        raise too_large
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > most:
            raise too_large
    return bytes(found)


def parse(raw: bytes) -> Any:
    """Parse JSON (RFC 8259); reject duplicate keys, NaN and lone surrogates, on which parsers disagree."""
    if not raw:
        raise Refusal("malformed", "The body is empty; send a JSON object.")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        if b"\\u" in raw:  # only an escape can contain half of a surrogate pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        # Not chained: the parser's error contains the body.
        raise Refusal("malformed", "The body is not valid JSON, or has a duplicate key.") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def validated(model: type[BodyT], value: Any) -> BodyT:
    """Return the body of parsed JSON or a parsed form. Refusal: `invalid`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        wrong = [FieldError(_field(each["loc"]), _reason(each)) for each in details]
        raise invalid_fields(*wrong) from None


def _reason(details: ErrorDetails) -> str:
    return _REASONS.get(details["type"]) or _SUBJECT.sub("Must ", details["msg"].removeprefix("Value error, "))


def _field(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "body"
    # A key can be any text, even a PIN or a number.
    return name if _NAME.fullmatch(name) else "(unknown)"
