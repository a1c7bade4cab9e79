"""Errors as `application/problem+json` (RFC 9457): the table of codes, and the refusals of exceptions."""

from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from otp_service.api.kit import rate_limits
from otp_service.errors import ErrorCode, Refusal, Unavailable

STATUS: dict[str, int] = {
    "malformed": 400,
    "unauthorized": 401,
    "blocked": 403,
    "country_not_allowed": 403,
    "opted_out": 403,
    "proof_needed": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "mismatch": 409,
    "not_pending": 409,
    "no_sends_left": 409,
    "user_opted_out": 409,
    "too_many_webhooks": 409,
    "too_many_factors": 409,
    "no_factor": 409,
    "not_sms": 409,
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
_OF_STARLETTE: dict[int, ErrorCode] = {404: "not_found", 405: "method_not_allowed"}


def record(refusal: Refusal) -> None:
    """Add the code of a refusal to the log line of the request."""
    structlog.contextvars.bind_contextvars(code=refusal.code)
    if refusal.quota is not None:
        structlog.contextvars.bind_contextvars(limit=refusal.quota.limit)


def headers_of(refusal: Refusal) -> dict[str, str]:
    """Return the headers that say when to retry."""
    headers = rate_limits.headers(refusal.quota)
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(rate_limits.whole_seconds(refusal.retry_after))
    return headers


def problem(refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
    """Return the response of a refusal, and add its code to the log line of the request."""
    record(refusal)
    status = STATUS[refusal.code]
    headers = {**(headers or {}), **headers_of(refusal)}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem_body(refusal), status, headers, MEDIA_TYPE)


def problem_body(refusal: Refusal) -> dict[str, Any]:
    """Return the body of the response of a refusal."""
    body: dict[str, Any] = {
        "type": f"urn:otp-service:problem:{refusal.code}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": STATUS[refusal.code],
        "code": refusal.code,
        "detail": refusal.detail,
    }
    if refusal.errors:
        body["errors"] = [{"field": wrong.field, "detail": wrong.detail} for wrong in refusal.errors]
    if refusal.quota is not None:
        body["limit"] = refusal.quota.limit
    if refusal.verification_id is not None:
        body["verification_id"] = refusal.verification_id
    if refusal.decision is not None:
        body["decision"] = refusal.decision
    return body


def internal() -> Refusal:
    """Return the refusal after an unexpected exception."""
    return Refusal("internal", "Internal error. The log has details under this request id.")


def refusal_of(error: Exception) -> tuple[Refusal, dict[str, str]]:
    """Return the refusal that an exception is, and the headers of its response."""
    if isinstance(error, Refusal):
        return error, {}
    if isinstance(error, Unavailable):
        detail = "The database is unavailable; retry after Retry-After."
        return Refusal("unavailable", detail, retry_after=1), {}
    if isinstance(error, ClientDisconnect):  # only the log and the metrics see this
        return Refusal("malformed", "The body is incomplete."), {}
    if isinstance(error, HTTPException) and error.status_code in _OF_STARLETTE:
        return _of_starlette(error)
    return internal(), {}


def _of_starlette(error: HTTPException) -> tuple[Refusal, dict[str, str]]:
    headers = dict(error.headers or {})
    detail = "No such path. See /docs."
    if error.status_code == 405:
        detail = f"Method not allowed. Use {headers.get('Allow', 'another method')}."
    return Refusal(_OF_STARLETTE[error.status_code], detail), headers


EXCEPTIONS = (Refusal, Unavailable, HTTPException, ClientDisconnect)
"""The exceptions that `refusal_of` expects."""
