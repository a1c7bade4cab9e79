"""Refusals as Twilio's errors."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from otp_service.api.kit.problems import STATUS, headers_of, record
from otp_service.errors import Refusal

INVALID_PARAMETER = 60200
NUMBERS = {
    "unauthorized": (401, 20003),
    "method_not_allowed": (405, 20004),
    "malformed": (400, INVALID_PARAMETER),
    "invalid": (400, INVALID_PARAMETER),
    "invalid_number": (400, INVALID_PARAMETER),
    "too_large": (413, INVALID_PARAMETER),
    "unsupported_media_type": (400, INVALID_PARAMETER),
    "mismatch": (404, 20404),
    "not_pending": (404, 20404),
    "no_sends_left": (429, 60203),
    "blocked": (403, 60410),
    "country_not_allowed": (403, 60605),
    "opted_out": (400, 21610),
    "gateway_failed": (503, 20503),
}
"""HTTP status and error number by our code. Any other code has its own status, and that plus 20000 as its number."""
LANDLINE = (400, 60205)
MAX_CHECKS = (429, 60202)
_PARAMETERS = {"to": "To", "pin": "Code", "purpose": "ServiceSid", "body": "(body)"}


def refused(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response of a refusal, and add its code to the log line of the request."""
    record(refusal)
    status, number = LANDLINE if refusal.is_landline else _status_and_number(refusal.code)
    headers = {**(headers or {}), **headers_of(refusal)}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="otp_service"'
    return error(status, number, _message(refusal), headers)


def error(status: int, number: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error response."""
    more_info = f"https://www.twilio.com/docs/errors/{number}"
    return JSONResponse({"code": number, "message": message, "more_info": more_info, "status": status}, status, headers)


def _status_and_number(code: str) -> tuple[int, int]:
    return NUMBERS.get(code) or (STATUS[code], 20000 + STATUS[code])


def _message(refusal: Refusal) -> str:
    wrong = [f"`{_PARAMETERS.get(each.field, each.field)}`: {each.detail}" for each in refusal.errors]
    return f"Invalid parameter {' '.join(wrong)}" if wrong else refusal.detail
