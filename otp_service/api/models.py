"""What goes in, as pydantic models: they validate, and OpenAPI is made from them."""

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from otp_service import pins
from otp_service.phone import carrier_is_safe
from otp_service.texts import is_printable, locale_is_wellformed, problem_with_message


class Body(BaseModel):
    """A request body: unknown keys and other types are refused, values are not repeated in errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _checked_locale(text: str) -> str:
    if not locale_is_wellformed(text):
        raise ValueError("It should be a language tag such as en or pt-BR.")
    return text


def _checked_carrier(text: str) -> str:
    if not carrier_is_safe(text):
        raise ValueError("It should be the operator's name: 1 to 64 printable characters, none of / \\ ? # %.")
    return text


def _checked_address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("It should be an IPv4 or IPv6 address.") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError("It should be an address without a zone.")
    return text


def _checked_text(text: str) -> str:
    if not is_printable(text):
        raise ValueError("It should hold no control, format or bidirectional characters.")
    return text


def _checked_purpose(text: str) -> str:
    # The services tell which are configured; what could not be one must not reach the database.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", text):
        raise ValueError("It should be the name of a purpose: a lower-case letter, then a-z, 0-9 and _.")
    return text


def _checked_pin(secret: SecretStr) -> SecretStr:
    if pins.clean(secret.get_secret_value()) is None:
        raise ValueError("It should be the ASCII digits of the PIN; spaces and hyphens are dropped.")
    return secret


def _checked_message(text: str) -> str:
    problem = problem_with_message(text)
    if problem is not None:
        raise ValueError(f"It {problem}.")
    return text


def _shown(description: str, pattern: str, *examples: str) -> Any:
    # The pattern is for readers and their tools alone: what it says is checked elsewhere, with a better message.
    return Field(description=description, examples=list(examples) or None, json_schema_extra={"pattern": pattern})


_PRINTABLE = r"^[^\p{C}\p{Zl}\p{Zp}]+$"

Text = Annotated[
    str,
    Field(min_length=1, max_length=256, json_schema_extra={"pattern": _PRINTABLE}),
    AfterValidator(_checked_text),
]
To = Annotated[str, _shown("The number in E.164.", r"^\+[1-9][0-9]{6,14}$", "+573001234567")]
PurposeName = Annotated[
    str,
    AfterValidator(_checked_purpose),
    _shown("A purpose of the service's configuration.", "^[a-z][a-z0-9_]{0,31}$", "signup"),
]
Locale = Annotated[
    str,
    AfterValidator(_checked_locale),
    _shown(
        "A language tag; one without a text falls back.", "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$", "es", "pt-BR"
    ),
]
Carrier = Annotated[
    str,
    AfterValidator(_checked_carrier),
    _shown("The operator's name.", r"^[^\p{C}\p{Zl}\p{Zp}/\\?#%]{1,64}$", "Movistar"),
]
Address = Annotated[
    str,
    AfterValidator(_checked_address),
    Field(
        description="The person's address.",
        examples=["192.0.2.7"],
        json_schema_extra={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    ),
]
MessageText = Annotated[
    str,
    AfterValidator(_checked_message),
    Field(
        description="The finished text of a message that is no PIN: at most 10 SMS, no line that begins with `@`.",
        examples=["Your order is on its way."],
        json_schema_extra={"pattern": r"^([^\p{C}\p{Zl}\p{Zp}]|\n)+$", "minLength": 1, "maxLength": 1530},
    ),
]
TemplateName = Annotated[
    str,
    _shown("A template of the service's configuration.", "^[a-z][a-z0-9_]{0,31}$", "order_sent"),
]
Pin = Annotated[
    SecretStr,
    AfterValidator(_checked_pin),
    Field(
        description="ASCII digits; spaces and hyphens are dropped.",
        examples=["123456"],
        json_schema_extra={"pattern": "^[ -]*([0-9][ -]*){6,10}$", "maxLength": 64},
    ),
]
Session = Annotated[Text, Field(description="Whatever ties checks to the browser or app that started; kept hashed.")]


Channel = Literal["sms", "inbound"]


class StartBody(Body):
    """Asks for a PIN to be sent, or for a phrase that the person texts us."""

    to: To
    purpose: PurposeName
    locale: Locale | None = None
    carrier: Carrier | None = None
    user_ip: Address | None = None
    session: Session | None = None
    channel: Annotated[Channel, Field(description="`inbound`: nothing is sent, the person texts us.")] | None = None
    subject: Annotated[Text, Field(description="The application's own id of the person.")] | None = None
    reference: Annotated[Text, Field(description="Whatever the application wants to find again.")] | None = None


class CheckBody(Body):
    """A PIN as the person typed it."""

    pin: Pin
    session: Session | None = None
    to: To | None = None
    purpose: PurposeName | None = None


class NotifyBody(Body):
    """A message that is no PIN: either its text, or a template with its values."""

    to: To
    text: MessageText | None = None
    template: TemplateName | None = None
    values: Annotated[dict[str, Text], Field(description="What stands for each {name} of the template.")] | None = None
    locale: Locale | None = None
    carrier: Carrier | None = None
    reference: Annotated[Text, Field(description="Whatever the application wants to find again.")] | None = None


class NumberBody(Body):
    """A number."""

    to: To
