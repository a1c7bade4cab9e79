"""The calls under /v1/notifications: their body, answer and handlers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypeAliasType

from otp_service.api.kit import bodies
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import Call, authenticated, once
from otp_service.api.kit.examples import IDS
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
NotificationStatus = TypeAliasType(
    "NotificationStatus", Literal["queued", "sent", "delivered", "undelivered", "unknown", "failed"]
)
TemplateName = Annotated[str, documented("A template of the policy.", "^[a-z][a-z0-9_]{0,31}$", "order_sent")]


class NotifyBody(Body):
    """A message without a PIN: either its text, or a template with its values."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"to": "+573001234567", "text": "Your order is on its way."}]}
    )

    to: To
    text: MessageText | None = None
    template: TemplateName | None = None
    values: Annotated[dict[str, Text], Field(description="The value of each {name} in the template.")] | None = None
    locale: Locale | None = None
    carrier: Carrier | None = None
    reference: Reference | None = None


class NotificationAnswer(Answer):
    """A message without a PIN, and its status."""

    id: Annotated[str, Field(description="The id of the notification.", examples=[IDS["notifications"]])]
    status: Annotated[NotificationStatus, Field(description="`queued`: waiting, or being sent now.")]
    reason: Annotated[
        str | None, Field(description="Why it waits, is `unknown` or is `failed`, as in docs/api.md; else null.")
    ]
    to: Annotated[
        str | None,
        Field(description="The number in E.164; null once retention has deleted it.", examples=["+573001234567"]),
    ]
    segments: Annotated[int, Field(description="How many SMS the message takes.", examples=[1])]
    template: Annotated[str | None, Field(description="`template` of the request.")]
    reference: Annotated[str | None, Field(description="`reference` of the request.")]
    created_at: Annotated[Timestamp, Field(description="When it was queued.")]
    sent_at: Annotated[Timestamp | None, Field(description="When it was sent; null before.")]
    route: Annotated[
        str | None,
        Field(description="`sms` or `mt`, null before it is sent; `test` for a test number."),
    ]


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
