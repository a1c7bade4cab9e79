"""The callbacks of the gateway; a secret in the path authenticates them."""

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from otp_service.api.kit import bodies
from otp_service.services.inbound import callbacks

MOST_BYTES = 64 * 1024


async def receive(request: Request) -> Response:
    """Accept a receipt or an inbound message; the response is the same whatever it says."""
    if not _has_token(request):
        raise HTTPException(404)  # like an unknown path
    body = await bodies.raw(request, MOST_BYTES)
    await callbacks.handle(request.app.state.context, request.app.state.read_callback(body))
    return PlainTextResponse("ok")


def _has_token(request: Request) -> bool:
    expected = request.app.state.callback_token
    given = str(request.path_params["callback_token"])
    return expected is not None and hmac.compare_digest(expected.encode(), given.encode())
