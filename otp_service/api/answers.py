"""What comes out: the models that OpenAPI and the answers themselves are made from."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from starlette.responses import Response

from otp_service.clock import rfc3339


class Answer(BaseModel):
    """An answer; its fields are those of what a service returned."""

    model_config = ConfigDict(frozen=True, from_attributes=True, hide_input_in_errors=True)


Timestamp = Annotated[
    float,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""Seconds since the epoch, written in RFC 3339."""
Status = Literal["pending", "approved", "expired", "exhausted", "canceled", "failed"]
DeliveryStatus = Literal["sent", "delivered", "undelivered", "unknown", "failed"]
NotificationStatus = Literal["queued", "sent", "delivered", "undelivered", "unknown", "failed"]
Result = Literal["approved", "incorrect", "exhausted", "expired", "locked", "canceled", "already_approved", "no_pin"]


class DeliveryAnswer(Answer):
    """How the newest message went; all null where none is ever sent."""

    status: DeliveryStatus | None
    route: str | None
    sent_at: Timestamp | None


class InboundAnswer(Answer):
    """What the person should text us."""

    send_to: str
    text: str


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
    inbound: Annotated[
        InboundAnswer | None,
        Field(
            description="Only with `channel` `inbound`, while it is pending.", exclude_if=lambda asked: asked is None
        ),
    ] = None


class CheckAnswer(Answer):
    """What a check came to."""

    result: Result
    verification: VerificationAnswer
    proof: None = Field(default=None, description="A signed statement of the approval; none is issued yet.")
    retry_at: Annotated[
        Timestamp | None, Field(description="Only with `locked`.", exclude_if=lambda at: at is None)
    ] = None


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


class NotificationAnswer(Answer):
    """A message that is no PIN."""

    id: str
    status: NotificationStatus
    reason: str | None
    to: str | None
    segments: int
    template: str | None
    reference: str | None
    created_at: Timestamp
    sent_at: Timestamp | None
    route: str | None


class OptOutAnswer(Answer):
    """Whether a number wants messages; `source` and `since` are null while it does."""

    to: str
    opted_out: bool
    source: Literal["user", "client"] | None
    since: Timestamp | None


class LookedUpAnswer(OptOutAnswer):
    """The same, and whether the gateway itself blocks the number; null where it could not tell."""

    gateway_blacklisted: bool | None


class AliveAnswer(Answer):
    """The process answers."""

    status: Literal["ok"]


class GatewayState(Answer):
    """How this process finds the gateway. `routes`: the circuit breaker of each; `alarm`: what somebody must mend."""

    status: Literal["ok", "trouble"]
    last: str
    routes: dict[str, Literal["closed", "open", "half_open"]]
    alarm: Literal["bad_signature"] | None


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


def answered(
    model: type[Answer], value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """What a service returned, as the answer."""
    body = model.model_validate(value).model_dump_json()
    return Response(body, status, headers, media_type="application/json")
