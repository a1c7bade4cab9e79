"""Errors as `application/problem+json` (RFC 9457): the table of codes, and the exception handlers."""

from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from otp_service.api.kit import rate_limits
from otp_service.errors import Refusal, Unavailable

STATUS = {
    "malformed": 400,
    "unauthorized": 401,
    "country_not_allowed": 403,
    "opted_out": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "mismatch": 409,
    "not_pending": 409,
    "no_sends_left": 409,
    "user_opted_out": 409,
    "too_many_webhooks": 409,
    "webhook_disabled": 409,
    "already_redeemed": 409,
    "idempotency_in_progress": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid": 422,
    "invalid_number": 422,
    "invalid_proof": 422,
    "idempotency_mismatch": 422,
    "rate_limited": 429,
    "internal": 500,
    "gateway_failed": 502,
    "overloaded": 503,
    "unavailable": 503,
}
"""The HTTP status of every code."""

MEDIA_TYPE = "application/problem+json"
_OF_STARLETTE = {404: "not_found", 405: "method_not_allowed"}


def problem(refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
    """Return the response of a refusal, and add its code to the log line of the request."""
    structlog.contextvars.bind_contextvars(code=refusal.code)
    if refusal.quota is not None:
        structlog.contextvars.bind_contextvars(limit=refusal.quota.limit)
    status = STATUS[refusal.code]
    body: dict[str, Any] = {
        "type": f"urn:otp-service:problem:{refusal.code}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": status,
        "code": refusal.code,
        "detail": refusal.detail,
    }
    headers = {**(headers or {}), **rate_limits.headers(refusal.quota)}
    if refusal.errors:
        body["errors"] = [{"field": wrong.field, "detail": wrong.detail} for wrong in refusal.errors]
    if refusal.quota is not None:
        body["limit"] = refusal.quota.limit
    if refusal.verification_id is not None:
        body["verification_id"] = refusal.verification_id
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(rate_limits.whole_seconds(refusal.retry_after))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def internal() -> Response:
    """Return the response after an unexpected exception."""
    return problem(Refusal("internal", "Internal error. The log has details under this request id."))


async def on_refusal(_: Request, error: Exception) -> Response:
    """Handle a refusal."""
    return problem(error) if isinstance(error, Refusal) else internal()


async def on_unavailable(_: Request, __: Exception) -> Response:
    """Handle an unreachable database."""
    return problem(Refusal("unavailable", "The database is unavailable; retry after Retry-After.", retry_after=1))


async def on_http_exception(_: Request, error: Exception) -> Response:
    """Handle an unknown path and a wrong method."""
    if not isinstance(error, HTTPException) or error.status_code not in _OF_STARLETTE:
        return internal()
    headers = dict(error.headers or {})
    detail = "No such path. See /docs."
    if error.status_code == 405:
        detail = f"Method not allowed. Use {headers.get('Allow', 'another method')}."
    return problem(Refusal(_OF_STARLETTE[error.status_code], detail), headers)


async def on_disconnect(_: Request, __: Exception) -> Response:
    """Handle a caller that disconnected before the end of the body; only the log and the metrics see this."""
    return problem(Refusal("malformed", "The body is incomplete."))


HANDLERS = {
    Refusal: on_refusal,
    Unavailable: on_unavailable,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
}
"""The handler of each exception, for Starlette."""
