"""The calls under /v1/webhooks: their bodies, answers and handlers."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypeAliasType

from otp_service.api.events import EVENT_NAMES, EventName
from otp_service.api.kit import bodies
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import DELIVERY_ID, authenticated, once
from otp_service.api.kit.examples import IDS
from otp_service.api.kit.fields import Body, documented
from otp_service.errors import not_found
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.webhooks import delivery, webhooks

WebhookStatus = TypeAliasType("WebhookStatus", Literal["active", "disabled"])
WebhookDeliveryStatus = TypeAliasType("WebhookDeliveryStatus", Literal["pending", "delivered", "failed"])

_EXAMPLE: dict[str, Any] = {
    "id": IDS["webhooks"],
    "url": "https://example.com/otp",
    "events": ["verification.approved", "number.*"],
    "status": "active",
    "created_at": "2026-11-23T15:43:24.398Z",
}
_EXAMPLE_OF_A_DELIVERY: dict[str, Any] = {
    "id": "whd_4f1c9a0be2d84c6f9b3a7d5e8c1f2a60",
    "type": "verification.approved",
    "status": "pending",
    "attempts": 1,
    "last_status_code": 500,
    "last_error": "http_500",
    "next_at": "2026-11-23T15:43:29.398Z",
    "created_at": "2026-11-23T15:43:24.398Z",
}
_EXAMPLE_OF_A_SECRET: dict[str, Any] = {"secret": "whsec_BwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSY="}


def _once_each(events: list[EventName]) -> list[EventName]:
    if len(set(events)) != len(events):
        raise ValueError("Must not name an event twice.")
    return events


class WebhookBody(Body):
    """Asks for events at an address of the application."""

    url: Annotated[
        str,
        documented(
            "Where events are posted: https:// to a public address.", "^https?://[!-~]+$", "https://example.com/otp"
        ),
    ]
    events: Annotated[
        list[EventName],
        AfterValidator(_once_each),
        Field(
            min_length=1,
            max_length=len(EVENT_NAMES),
            description="The events; `verification.*` is every event of verifications, `*` every event.",
            examples=[["verification.approved", "number.*"]],
            json_schema_extra={"uniqueItems": True},
        ),
    ]


class WebhookAnswer(Answer):
    """An address where the application wants events."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: Annotated[str, Field(description="The id of the webhook.")]
    url: Annotated[str, Field(description="Where events are posted.")]
    events: Annotated[list[EventName], Field(description="The events that are posted.")]
    status: Annotated[
        WebhookStatus,
        Field(description="`disabled`: after a 410, or 3 days without success; a successful test enables it again."),
    ]
    created_at: Annotated[Timestamp, Field(description="When it was added.")]


class NewWebhookAnswer(WebhookAnswer):
    """A new webhook with its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE | _EXAMPLE_OF_A_SECRET]})

    secret: Annotated[str, Field(description="`whsec_` and Base64: verifies signatures. Shown only here.")]


class WebhooksAnswer(Answer):
    """The webhooks of the client, oldest first."""

    webhooks: Annotated[list[WebhookAnswer], Field(description="The webhooks.")]


class WebhookTestAnswer(Answer):
    """The result of a test event."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"delivered": True, "status_code": 200, "error": None}]})

    delivered: Annotated[bool, Field(description="Whether the receiver answered with 2xx.")]
    status_code: Annotated[int | None, Field(description="The HTTP status of the answer; null without an answer.")]
    error: Annotated[str | None, Field(description="`http_500`, `timeout` and so on; null after a 2xx.")]


class WebhookSecretAnswer(Answer):
    """A new secret of a webhook."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_OF_A_SECRET]})

    secret: Annotated[str, Field(description="The new secret. For 24 hours the former one signs too.")]


class WebhookDeliveryAnswer(Answer):
    """An event for a webhook, and what came of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_OF_A_DELIVERY]})

    id: Annotated[str, Field(description="The id of the event for this webhook: the header `webhook-id`.")]
    type: Annotated[str, Field(description="The event, such as `verification.approved`.")]
    status: Annotated[
        WebhookDeliveryStatus,
        Field(description="`pending`: tried again at `next_at`; `failed`: given up."),
    ]
    attempts: Annotated[int, Field(description="How often it was posted.")]
    last_status_code: Annotated[int | None, Field(description="The HTTP status of the last answer.")]
    last_error: Annotated[str | None, Field(description="Why the last try failed; null after a 2xx.")]
    next_at: Annotated[Timestamp | None, Field(description="The time of the next try; null if there is none.")]
    created_at: Annotated[Timestamp, Field(description="When the event happened.")]


class WebhookDeliveriesAnswer(Answer):
    """The last 100 events of a webhook, newest first."""

    deliveries: Annotated[list[WebhookDeliveryAnswer], Field(description="The events.")]


async def create(request: Request) -> Response:
    """Add a webhook: events of the client are posted to its address from now on."""
    call = await authenticated(request)
    body = await bodies.read(request, WebhookBody)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        added = await webhooks.create(call.ctx, call.client.id, body.url, [*body.events], idempotent)
        return answered(NewWebhookAnswer, added, 201)

    return await once(call, body, run)


async def list_all(request: Request) -> Response:
    """Return the webhooks of the client."""
    call = await authenticated(request)
    return answered(WebhooksAnswer, {"webhooks": await webhooks.list_all(call.ctx, call.client.id)})


async def read(request: Request) -> Response:
    """Return a webhook, without its secret."""
    call = await authenticated(request)
    return answered(WebhookAnswer, await webhooks.read(call.ctx, call.client.id, call.id))


async def delete(request: Request) -> Response:
    """Delete a webhook; events that wait are not posted any more."""
    call = await authenticated(request)
    await webhooks.delete(call.ctx, call.client.id, call.id)
    return Response(status_code=204)


async def test(request: Request) -> Response:
    """Post a `webhook.test` event now and return the result; success enables a disabled webhook."""
    call = await authenticated(request)
    await bodies.read_empty(request)

    async def run(_: IdempotentRequest | None) -> Response:
        return answered(WebhookTestAnswer, await delivery.test(call.ctx, call.client.id, call.id))

    return await once(call, None, run)


async def replace_secret(request: Request) -> Response:
    """Replace the secret of a webhook; for 24 hours both sign."""
    call = await authenticated(request)
    await bodies.read_empty(request)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        secret = await webhooks.replace_secret(call.ctx, call.client.id, call.id, idempotent)
        return answered(WebhookSecretAnswer, {"secret": secret})

    return await once(call, None, run)


async def deliveries(request: Request) -> Response:
    """Return the last events of a webhook, newest first."""
    call = await authenticated(request)
    found = await webhooks.deliveries(call.ctx, call.client.id, call.id)
    return answered(WebhookDeliveriesAnswer, {"deliveries": found})


async def replay(request: Request) -> Response:
    """Post an event again, with the same id and content."""
    call = await authenticated(request)
    await bodies.read_empty(request)
    delivery_id = str(request.path_params["delivery_id"])
    if not re.fullmatch(DELIVERY_ID, delivery_id):
        raise not_found("delivery")

    async def run(idempotent: IdempotentRequest | None) -> Response:
        again = await webhooks.replay(call.ctx, call.client.id, call.id, delivery_id, idempotent)
        return answered(WebhookDeliveryAnswer, again, 202)

    return await once(call, None, run)
