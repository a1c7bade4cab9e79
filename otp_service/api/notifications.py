"""The calls under /v1/notifications."""

from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.answers import NotificationAnswer, answered
from otp_service.api.kit import bodies
from otp_service.api.kit.calls import authenticated, once
from otp_service.api.models import NotifyBody
from otp_service.services.clients.idempotency import Claim
from otp_service.services.notifications import notifications
from otp_service.services.notifications.notifications import NotificationRequest


async def create(request: Request) -> Response:
    """Queues a message that is no PIN; it is sent within seconds, or later if the gateway is away."""
    call = await authenticated(request)
    body = await bodies.read(request, NotifyBody)
    asked = NotificationRequest(client_id=call.client.id, **body.model_dump())

    async def run(claim: Claim | None) -> Response:
        return answered(NotificationAnswer, await notifications.create(call.ctx, asked, claim), 202)

    return await once(call, body, 202, run)


async def read(request: Request) -> Response:
    """A notification as it is now."""
    call = await authenticated(request)
    notification = await notifications.read(call.ctx, call.client.id, call.notification_id)
    return answered(NotificationAnswer, notification)
