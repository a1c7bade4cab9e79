"""The responses of exceptions: problem documents, and Twilio's errors under /v2."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from otp_service.api.kit import problems
from otp_service.api.twilio import errors
from otp_service.errors import Refusal


async def on_error(request: Request, error: Exception) -> Response:
    """Return the response of an exception."""
    return _respond(request.scope, *problems.refusal_of(error))


def internal(scope: Scope) -> Response:
    """Return the response after an unexpected exception."""
    return _respond(scope, problems.internal(), {})


def _respond(scope: Scope, refusal: Refusal, headers: dict[str, str]) -> Response:
    if scope["path"].startswith("/v2/"):
        return errors.refused(refusal, headers)
    return problems.problem(refusal, headers)


HANDLERS = dict.fromkeys(problems.EXCEPTIONS, on_error)
"""The handler of each exception, for Starlette."""
