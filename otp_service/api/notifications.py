"""The calls under /v1/notifications: their body, answer and handlers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.kit import bodies
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import Call, authenticated, once
from otp_service.api.kit.fields import PRINTABLE, Body, Carrier, Locale, Reference, Text, To, documented
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.notifications import notifications
from otp_service.services.notifications.notifications import NotificationRequest
from otp_service.texts import problem_with_message, unix_lines


def _checked_message(text: str) -> str:
    problem = problem_with_message(unix_lines(text))
    if problem is not None:
        raise ValueError(f"{problem[0].upper()}{problem[1:]}.")
    return unix_lines(text)


MessageText = Annotated[
    str,
    AfterValidator(_checked_message),
    Field(
        description="The complete text of a message without a PIN: at most 10 SMS; CR LF becomes LF.",
        examples=["Your order is on its way."],
        json_schema_extra={"pattern": f"^({PRINTABLE}|\\r?\\n)+$", "minLength": 1, "maxLength": 1530},
    ),
]
TemplateName = Annotated[str, documented("A template of the policy.", "^[a-z][a-z0-9_]{0,31}$", "order_sent")]


class NotifyBody(Body):
    """A message without a PIN: either its text, or a template with its values."""

    to: To
    text: MessageText | None = None
    template: TemplateName | None = None
    values: Annotated[dict[str, Text], Field(description="The value of each {name} in the template.")] | None = None
    locale: Locale | None = None
    carrier: Carrier | None = None
    reference: Reference | None = None


class NotificationAnswer(Answer):
    """A message without a PIN, and its status."""

    id: str
    status: Literal["queued", "sent", "delivered", "undelivered", "unknown", "failed"]
    reason: str | None
    to: str | None
    segments: int
    template: str | None
    reference: str | None
    created_at: Timestamp
    sent_at: Timestamp | None
    route: str | None


async def create(request: Request) -> Response:
    """Queue a message without a PIN; it is sent within seconds, or once the gateway is available."""
    call = await authenticated(request)
    body = await bodies.read(request, NotifyBody)
    asked = NotificationRequest(client_id=call.client.id, **body.model_dump())

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return answered(NotificationAnswer, await notifications.create(call.ctx, asked, idempotent), 202)

    return await once(call, body, run, lambda notification_id: _current(call, notification_id, 202))


async def read(request: Request) -> Response:
    """Return the current notification."""
    call = await authenticated(request)
    return await _current(call, call.id)


async def _current(call: Call, notification_id: str, status: int = 200) -> Response:
    return answered(NotificationAnswer, await notifications.read(call.ctx, call.client.id, notification_id), status)
