"""pydantic's validation errors as sentences for an operator, never with the values."""

import re

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_SUBJECT = re.compile(r"^Value error, |^(?:Input|String|Tuple|Path|Value) (?=should |does )")


def sentences(error: ValidationError) -> list[str]:
    """One `dotted.key: what is wrong` per error."""
    return [f"{_key(details)}: {reason(details)}" for details in error.errors(include_url=False, include_input=False)]


def reason(details: ErrorDetails) -> str:
    """What is wrong, as the rest of a sentence that the name begins."""
    if details["type"] == "extra_forbidden":
        return "is not a known key"
    if details["type"] == "missing":
        return "is missing"
    return _SUBJECT.sub("", details["msg"])


def _key(details: ErrorDetails) -> str:
    return ".".join(str(part) for part in details["loc"] if part != "[key]")
