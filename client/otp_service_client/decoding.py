"""Makes the dataclasses of `answers` from JSON."""

from dataclasses import is_dataclass
from datetime import datetime
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")


def decode(cls: type[T], body: Any) -> T:
    """Return the dataclass with the values of a JSON object. Unknown fields are ignored.

    Raises KeyError, TypeError or ValueError if the object is not one of `cls`.
    """
    if not isinstance(body, dict):
        raise TypeError
    known = {name: _value(hint, body[name]) for name, hint in get_type_hints(cls).items() if name in body}
    return cls(**known)


def _value(hint: Any, value: Any) -> Any:
    inner = [each for each in get_args(hint) if each not in (NoneType, Ellipsis)]
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(_value(inner[0], each) for each in value)
    kind = inner[0] if inner else hint
    if kind is datetime:
        return datetime.fromisoformat(value)
    return decode(kind, value) if is_dataclass(kind) and isinstance(kind, type) else value
