"""The base of request bodies, and the field types that several calls share."""

import ipaddress
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, WithJsonSchema

from otp_service.hashing import pins
from otp_service.phone import check_carrier
from otp_service.texts import LONGEST_LOCALE, is_printable, locale_is_wellformed


class Body(BaseModel):
    """A request body. Unknown keys and wrong types are rejected; errors do not repeat values."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _checked_locale(text: str) -> str:
    if not locale_is_wellformed(text):
        raise ValueError("Must be a language tag such as en or pt-BR.")
    return text


def _checked_text(text: str) -> str:
    if not is_printable(text):
        raise ValueError("Must not contain control or bidirectional characters.")
    return text


def _checked_purpose(text: str) -> str:
    # The services know which purposes exist; anything else must not reach the database.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", text):
        raise ValueError("Must be the name of a purpose: a lower-case letter, then a-z, 0-9 and _.")
    return text


def _checked_address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("Must be an IPv4 or IPv6 address.") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError("Must be an address without a zone.")
    return text


def _checked_pin(secret: SecretStr) -> SecretStr:
    if pins.clean(secret.get_secret_value()) is None:
        raise ValueError("Must be the ASCII digits of the PIN; spaces and hyphens are removed.")
    return secret


def _checked_challenge(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", text):
        raise ValueError("Must be a SHA-256 in base64url without padding: 43 characters.")
    return text


_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")


def _checked_moment(text: str) -> str:
    try:
        seconds(text)
    except (ValueError, OverflowError):
        raise ValueError("Must be a time in RFC 3339, such as 2026-01-31T10:30:51Z.") from None
    return text


def seconds(text: str) -> float:
    """Return a time in RFC 3339 as seconds since the epoch. Raises ValueError if it is none."""
    if not _RFC3339.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text).timestamp()


def documented(description: str, pattern: str, *examples: str) -> Any:
    """Describe a field. The pattern is only documentation: validators check it, with a better message."""
    return Field(description=description, examples=list(examples) or None, json_schema_extra={"pattern": pattern})


PRINTABLE = r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\uffff]"
"""The characters that `texts.is_printable` allows, for the schemas."""

Text = Annotated[
    str,
    Field(min_length=1, max_length=256, json_schema_extra={"pattern": f"^{PRINTABLE}+$"}),
    AfterValidator(_checked_text),
]
To = Annotated[str, documented("The number in E.164.", r"^\+[1-9][0-9]{6,14}$", "+573001234567")]
PurposeName = Annotated[
    str,
    AfterValidator(_checked_purpose),
    documented("A purpose of the service's policy.", "^[a-z][a-z0-9_]{0,31}$", "signup"),
]
Locale = Annotated[
    str,
    AfterValidator(_checked_locale),
    Field(
        description="A BCP 47 language tag; without a text for it, its beginning or the default is used.",
        examples=["es", "pt-BR"],
        json_schema_extra={"pattern": "^[A-Za-z]{1,8}([-_][A-Za-z0-9]{1,8})*$", "maxLength": LONGEST_LOCALE},
    ),
]
Carrier = Annotated[
    str,
    AfterValidator(check_carrier),
    documented("The carrier's name.", r"^[^\p{C}\p{Zl}\p{Zp}/\\?#%]{1,64}$", "Movistar"),
]
Moment = Annotated[
    str,
    AfterValidator(_checked_moment),
    Field(
        description="A time in RFC 3339.",
        examples=["2026-01-31T10:30:51Z"],
        json_schema_extra={"format": "date-time", "pattern": f"^{_RFC3339.pattern}$"},
    ),
]
Subject = Annotated[Text, Field(description="The application's id of the user.", examples=["user-17"])]
Session = Annotated[Text, Field(description="Ties checks to the browser or app that started; stored as a hash.")]
Reference = Annotated[Text, Field(description="An id of the application, returned as given.")]
Address = Annotated[
    str,
    AfterValidator(_checked_address),
    Field(
        description="The user's IP address.",
        examples=["192.0.2.7"],
        json_schema_extra={"anyOf": [{"type": "string", "format": each} for each in ("ipv4", "ipv6")]},
    ),
]
SessionChallenge = Annotated[
    str,
    AfterValidator(_checked_challenge),
    documented(
        "Instead of `session`: base64url SHA-256 of a secret, which checks and the redemption then give as `session`.",
        "^[A-Za-z0-9_-]{43}$",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    ),
]
_PROOF = "The proof of a challenge that the user has just passed; or send it as `X-Proof`. Works once."
ChallengeProof = Annotated[str | None, Field(repr=False, description=_PROOF, examples=["eyJhbGciOiJFUzI1NiIs..."])]
Pin = Annotated[
    SecretStr,
    AfterValidator(_checked_pin),
    # Without the format `password` of a SecretStr: generated clients would send asterisks.
    WithJsonSchema({"type": "string", "pattern": "^[ -]*([0-9][ -]*){6,10}$", "maxLength": 64}),
    Field(description="ASCII digits; spaces and hyphens are removed.", examples=["123456"]),
]
