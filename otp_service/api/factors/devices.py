"""The calls under /v1/devices: their answers and handlers."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.factors.factors import SubjectQuery
from otp_service.api.kit import queries
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import authenticated
from otp_service.api.kit.examples import IDS
from otp_service.services.factors import devices

EXAMPLE: dict[str, Any] = {
    "id": IDS["devices"],
    "subject": "user-17",
    "created_at": "2026-11-23T15:43:24.398Z",
    "expires_at": "2026-12-23T15:43:24.398Z",
    "last_used_at": None,
}


class DeviceAnswer(Answer):
    """A browser or app that a user asked to remember."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: Annotated[str, Field(description="The id of the device, which is not its token.")]
    subject: Annotated[str, Field(description="The application's id of the user.")]
    created_at: Annotated[Timestamp, Field(description="When it was remembered.")]
    expires_at: Annotated[Timestamp, Field(description="When it is forgotten.")]
    last_used_at: Annotated[Timestamp | None, Field(description="When it last passed a challenge; null before.")]


class DevicesAnswer(Answer):
    """The remembered devices of a user."""

    devices: Annotated[list[DeviceAnswer], Field(description="The devices, oldest first.")]


async def list_all(request: Request) -> Response:
    """Return the remembered devices of a user."""
    call = await authenticated(request)
    subject = queries.read(request, SubjectQuery).subject
    return answered(DevicesAnswer, {"devices": await devices.list_all(call.ctx, call.client.id, subject)})


async def revoke(request: Request) -> Response:
    """Revoke a remembered device."""
    call = await authenticated(request)
    await devices.revoke(call.ctx, call.client.id, call.id)
    return Response(status_code=204)


async def revoke_all(request: Request) -> Response:
    """Revoke all remembered devices of a user."""
    call = await authenticated(request)
    await devices.revoke_all(call.ctx, call.client.id, queries.read(request, SubjectQuery).subject)
    return Response(status_code=204)
