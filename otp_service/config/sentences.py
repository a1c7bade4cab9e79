"""Turns pydantic's validation errors into sentences for an operator, without the values."""

import re

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from otp_service import phone

_SUBJECT = re.compile(r"^Value error, |^(?:Input|String|Tuple|Path|Value) (?=should |does )")


def sentences(error: ValidationError) -> list[str]:
    """Return one `dotted.key: what is wrong` per error."""
    return [f"{_key(details)}: {reason(details)}" for details in error.errors(include_url=False, include_input=False)]


def reason(details: ErrorDetails) -> str:
    """Return what is wrong, as it follows `NAME: `."""
    if details["type"] == "extra_forbidden":
        return "unknown key"
    if details["type"] == "missing":
        return "missing"
    return re.sub("^Must |should ", "must ", _SUBJECT.sub("", details["msg"]), count=1).removesuffix(".")


def _key(details: ErrorDetails) -> str:
    return ".".join(_part(str(part)) for part in details["loc"] if part != "[key]")


def _part(key: str) -> str:
    return phone.mask(key) if key.startswith("+") else key
