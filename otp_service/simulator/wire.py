"""The wire protocol's requests: methods, their path parameters, and the signature over them.

Written from the protocol alone, not from the gateway's client: a mistake shared by both would go unseen.
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes


class BadParameterError(Exception):
    """A path parameter is not what the method accepts; the reply has status ERROR."""


@dataclass(frozen=True)
class Account:
    """The customer that the simulator knows."""

    instance_id: str
    public_key: str
    private_key: str


@dataclass(frozen=True)
class Parameter:
    """A path segment: its name, and how its text is read."""

    name: str
    read: Callable[[str], str]


@dataclass(frozen=True)
class Method:
    """A method: how it is called, and the segments between its name and the public key."""

    path: str
    verb: str
    parameters: tuple[Parameter, ...]

    @property
    def name(self) -> str:
        """Return the name without its folder, as replies and lists show it."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Call:
    """A request, split into its segments; nothing is decoded or verified yet."""

    method: Method
    segments: tuple[str, ...]
    public_key: str
    signature: str

    def is_signed_by(self, account: Account) -> bool:
        """Return whether the signature is the account's, over the segments as they are in the path."""
        message = "/".join(self.segments).encode("latin-1")
        expected = hmac.new(account.private_key.encode(), message, hashlib.sha256).hexdigest()
        known = hmac.compare_digest(self.public_key.encode(), account.public_key.encode())
        return known and hmac.compare_digest(self.signature.encode(), expected.encode())

    def values(self) -> dict[str, str]:
        """Return the decoded parameters by name. Raises BadParameterError."""
        pairs = zip(self.method.parameters, self.segments, strict=True)
        return {parameter.name: parameter.read(segment) for parameter, segment in pairs}


def find_call(verb: str, path: str) -> Call | None:
    """Return the call of a raw path after `/rest/api/`, None if no method has this name and number of parameters."""
    for method in METHODS:
        segments = path.removeprefix(method.path + "/").split("/")
        if verb == method.verb and path.startswith(method.path + "/") and len(segments) == len(method.parameters) + 2:
            return Call(method, tuple(segments[:-2]), *segments[-2:])
    return None


def is_known_with_other_verb(path: str) -> bool:
    """Return whether another HTTP verb has a method at this path."""
    return any(find_call(verb, path) for verb in ("GET", "POST"))


def _text(segment: str) -> str:
    """Decode a percent-encoded segment."""
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise BadParameterError from None
    if not text or "/" in text or not text.isprintable():
        raise BadParameterError
    return text


def _operator_name(segment: str) -> str:
    """Decode an operator's name; the literal `null` is documented for sendMT alone."""
    if segment == "null":
        raise BadParameterError
    return _text(segment)


def _digits(segment: str) -> str:
    if not re.fullmatch(r"[0-9]{1,20}", segment):
        raise BadParameterError
    return segment


def _base64(segment: str) -> str:
    """Decode URL-safe Base64 with or without padding; `+` and `/` belong to the other alphabet."""
    bare = segment.rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    if segment not in (bare, padded) or not re.fullmatch(r"[A-Za-z0-9_-]+", bare):
        raise BadParameterError
    try:
        return b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BadParameterError from None


def _base64_digits(segment: str) -> str:
    return _digits(_base64(segment))


def _pin_length(segment: str) -> str:
    if not 4 <= int(_digits(segment)) <= 10:
        raise BadParameterError
    return segment


def _short_code(segment: str) -> str:
    """Decode a short code, -1 for all of them."""
    return segment if segment == "-1" else _digits(segment)


_INSTANCE = Parameter("instance", _text)
_CARRIER = Parameter("carrier", _operator_name)
_CARRIER_ID = Parameter("carrier", _text)
_SENDER = Parameter("sender", _digits)
_NUMBER = Parameter("number", _digits)
_NUMBER_BASE64 = Parameter("number", _base64_digits)
_TEXT = Parameter("text", _base64)
_LENGTH = Parameter("length", _pin_length)
_FLAGS = Parameter("flags", _text)
_PAGE = Parameter("page", _digits)
_RESULTS = Parameter("results", _digits)
_FILTERS = Parameter("filters", _text)
_MESSAGE_ID = Parameter("message_id", _text)
_INITIAL = Parameter("initial", _digits)
_FINAL = Parameter("final", _digits)
_SHORT_CODE = Parameter("short_code", _short_code)

METHODS = (
    Method("tools/sendSMSPinMobileNumberConfirm", "GET", (_INSTANCE, _CARRIER, _SENDER, _NUMBER, _TEXT, _LENGTH)),
    Method("tools/sendSMS", "GET", (_INSTANCE, _CARRIER, _SENDER, _NUMBER_BASE64, _TEXT)),
    Method("sendMT", "GET", (_INSTANCE, _SENDER, _CARRIER_ID, _NUMBER, _TEXT)),
    Method("sendMT", "GET", (_INSTANCE, _SENDER, _CARRIER_ID, _NUMBER, _TEXT, _FLAGS)),
    Method("fireMessage", "GET", (_INSTANCE, _NUMBER, _TEXT)),
    Method("fireMessage", "POST", (_INSTANCE,)),
    Method("tools/getMOMessages", "GET", (_INSTANCE, _PAGE, _RESULTS, _FILTERS)),
    Method("tools/getMessage", "GET", (_INSTANCE, _MESSAGE_ID)),
    Method("tools/messageReport", "GET", (_INSTANCE, _INITIAL, _FINAL, _PAGE, _RESULTS, _FILTERS)),
    Method("isUserInBlackList", "GET", (_INSTANCE, _NUMBER, _SHORT_CODE)),
)
