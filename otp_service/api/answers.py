"""What comes out: the models that OpenAPI is made from, and the answers themselves."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from otp_service.clock import rfc3339
from otp_service.services.checks import Checked
from otp_service.services.verifications import Event
from otp_service.services.view import Verification


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
