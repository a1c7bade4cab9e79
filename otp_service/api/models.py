"""What goes in and out, as pydantic models: they validate, and OpenAPI is made from them."""

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from otp_service import pins
from otp_service.clock import rfc3339
from otp_service.phone import carrier_is_safe
from otp_service.services.checks import Checked
from otp_service.services.verifications import Event
from otp_service.services.view import Verification
from otp_service.texts import is_printable, locale_is_wellformed


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


class StartBody(Body):
    """Asks for a PIN to be sent."""

    to: To
    purpose: PurposeName
    locale: Locale | None = None
    carrier: Carrier | None = None
    user_ip: Address | None = None
    session: Session | None = None
    subject: Annotated[Text, Field(description="The application's own id of the person.")] | None = None
    reference: Annotated[Text, Field(description="Whatever the application wants to find again.")] | None = None


class CheckBody(Body):
    """A PIN as the person typed it."""

    pin: Pin
    session: Session | None = None
    to: To | None = None
    purpose: PurposeName | None = None


class Answer(BaseModel):
    """An answer; times are RFC 3339 UTC."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Status = Literal["pending", "approved", "expired", "exhausted", "canceled", "failed"]
DeliveryStatus = Literal["sent", "delivered", "undelivered", "unknown", "failed"]
Result = Literal["approved", "incorrect", "exhausted", "expired", "locked", "canceled", "already_approved", "no_pin"]


class DeliveryAnswer(Answer):
    """How the newest message went."""

    status: DeliveryStatus
    route: str | None
    sent_at: Timestamp | None


class VerificationAnswer(Answer):
    """One try at proving that somebody holds a phone number."""

    id: str
    status: Status
    reason: str | None
    purpose: str
    to: str | None
    pin_length: int
    attempts_left: int
    sends_left: int
    created_at: Timestamp
    expires_at: Timestamp
    resend_at: Timestamp | None
    delivery: DeliveryAnswer
    subject: str | None
    reference: str | None


class CheckAnswer(Answer):
    """What a check came to."""

    result: Result
    verification: VerificationAnswer
    proof: None = Field(description="A signed statement of the approval; none is issued yet.")
    retry_at: Annotated[Timestamp, Field(description="Only with `locked`.")] | None = None


class EventAnswer(Answer):
    """Something that happened to a verification."""

    at: Timestamp
    type: str
    route: str | None
    result: str | None
    detail: str | None
    finished_at: Timestamp | None


class EventsAnswer(Answer):
    """The whole story, oldest first."""

    events: list[EventAnswer]


class AliveAnswer(Answer):
    """The process answers."""

    status: Literal["ok"]


class GatewayState(Answer):
    """How the newest send of this process went."""

    status: Literal["ok", "trouble"]
    last: str


class ReadyAnswer(Answer):
    """Whether this process can serve."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"]
    database_schema: Annotated[Literal["ok", "outdated", "unknown"], Field(alias="schema")]
    gateway: GatewayState


class KeysAnswer(Answer):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, Any]]


class DocumentAnswer(Answer):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class WrongField(Answer):
    """A wrong field, never its value."""

    field: str
    detail: str


class Problem(Answer):
    """An error (RFC 9457). `code` is stable; `detail` says what to do next."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[WrongField] | None = None
    limit: str | None = None
    verification_id: str | None = None


def verification_answer(verification: Verification) -> dict[str, Any]:
    """A verification as JSON."""
    delivery = verification.delivery
    return {
        "id": verification.id,
        "status": verification.status,
        "reason": verification.reason,
        "purpose": verification.purpose,
        "to": verification.to,
        "pin_length": verification.pin_length,
        "attempts_left": verification.attempts_left,
        "sends_left": verification.sends_left,
        "created_at": rfc3339(verification.created_at),
        "expires_at": rfc3339(verification.expires_at),
        "resend_at": _time(verification.resend_at),
        "delivery": {"status": delivery.status, "route": delivery.route, "sent_at": _time(delivery.sent_at)},
        "subject": verification.subject,
        "reference": verification.reference,
    }


def check_answer(checked: Checked) -> dict[str, Any]:
    """The outcome of a check as JSON."""
    answer = {"result": checked.result, "verification": verification_answer(checked.verification), "proof": None}
    if checked.retry_at is not None:
        answer["retry_at"] = rfc3339(checked.retry_at)
    return answer


def events_answer(events: list[Event]) -> dict[str, Any]:
    """The story of a verification as JSON."""
    return {
        "events": [
            {
                "at": rfc3339(event.at),
                "type": event.type,
                "route": event.route,
                "result": event.result,
                "detail": event.detail,
                "finished_at": _time(event.finished_at),
            }
            for event in events
        ]
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
