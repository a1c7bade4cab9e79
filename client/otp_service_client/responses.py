"""What sync and async clients share: settings, headers, reading a response, and which request is repeated."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import NoneType
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx

from otp_service_client import errors
from otp_service_client.calls import Call
from otp_service_client.decoding import decode

T = TypeVar("T")

TIMEOUT = 15.0
"""Seconds. A start can take 10, because the service waits for the gateway."""
PAUSES = (0.2, 1.0)
"""Seconds before the second and the third try of a request that got no answer."""
LONGEST_PAUSE = 2.0
"""The longest `Retry-After`, in seconds, that the client itself waits."""


def options(base_url: str | None, api_key: str | None, timeout: float) -> dict[str, Any]:
    """Return the options of the httpx client. Raises ValueError, without the key."""
    url = base_url or os.environ.get("OTP_SERVICE_URL", "")
    key = api_key or os.environ.get("OTP_SERVICE_KEY", "")
    if not re.match("https?://.", url):
        raise ValueError(_url_problem("base_url" if base_url else "OTP_SERVICE_URL", url))
    # httpx would show a key with a line break in its error.
    if not re.fullmatch("[!-~]+", key):
        raise ValueError("Pass api_key or set OTP_SERVICE_KEY: the key that `otp-service clients create` shows.")
    headers = {"Authorization": f"Bearer {key}", "User-Agent": "otp-service-client"}
    return {"base_url": url, "headers": headers, "timeout": timeout}


def _url_problem(name: str, url: str) -> str:
    """Return what is wrong with the address and what to write. A text that is no host, such as a key, is not shown."""
    host = re.fullmatch(r"([A-Za-z0-9.-]+)(:[0-9]+)?(/\S*)?", url)
    if not host:
        return "Pass base_url or set OTP_SERVICE_URL, such as https://otp.example.com or http://127.0.0.1:8000."
    scheme = "http" if re.fullmatch(r"localhost|127\.[0-9.]+", host[1]) else "https"
    return f'{name}: "{url}" does not begin with http:// or https://; write {scheme}://{url}.'


def request_of(call: Call[Any]) -> dict[str, Any]:
    """Return the request of a call for httpx, the same for each of its tries."""
    headers = {"Idempotency-Key": str(uuid.uuid4())} if call.method == "POST" else {}
    if call.x_proof is not None:
        headers["X-Proof"] = quote(call.x_proof)  # a header takes only ASCII; a proof has nothing else
    return {"method": call.method, "url": call.path, "params": call.query, "json": call.body, "headers": headers}


@contextmanager
def unreachable() -> Iterator[None]:
    """Turn an error of the connection into `Unreachable`."""
    try:
        yield
    except httpx.TransportError as error:
        reason = f"{type(error).__name__} {error}" if isinstance(error, httpx.ConnectError) else type(error).__name__
        # Not chained: the error of httpx holds the request, with the key and the PIN.
        raise errors.Unreachable(f"No answer from the service ({reason}).") from None


def read(call: Call[T], response: httpx.Response) -> T:
    """Return the answer to a call, None of one without a body. Raises the `Error` of a refusal."""
    if response.status_code == 204 and call.answer is NoneType:
        return cast("T", None)
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success:
        try:
            return decode(call.answer, body)
        except (KeyError, TypeError, ValueError):
            raise _not_ours(response) from None
    raise _refusal(response, body)


def _refusal(response: httpx.Response, body: Any) -> errors.Error:
    problem = response.headers.get("Content-Type", "").startswith("application/problem+json")
    if not problem or not isinstance(body, dict) or not isinstance(body.get("code"), str):
        return _not_ours(response)
    code = body["code"]
    wait = response.headers.get("Retry-After", "")
    return errors.Error.by_code.get(code, errors.Error)(
        body.get("detail", ""),
        code=code,
        status=response.status_code,
        request_id=response.headers.get("X-Request-Id"),
        retry_after=float(wait) if re.fullmatch("[0-9]{1,9}", wait) else None,
        limit=body.get("limit"),
        errors=tuple(decode(errors.FieldError, each) for each in body.get("errors") or ()),
        verification_id=body.get("verification_id"),
    )


def _not_ours(response: httpx.Response) -> errors.Error:
    """Return the error for a response that is not the service's, such as the page of a proxy."""
    status = response.status_code
    kind = errors.Unreachable if status == 502 else errors.Error
    return kind(f"The response with status {status} is not from the service.", status=status)


def pause_before_retry(call: Call[Any], tries: int, error: errors.Error) -> float | None:
    """Return the seconds to wait before the call is sent again, or None if it must not be."""
    if call.method != "POST" or tries > len(PAUSES):
        return None
    if isinstance(error, errors.Unreachable):
        return PAUSES[tries - 1]
    if isinstance(error, errors.Overloaded | errors.Unavailable) and error.retry_after is not None:
        return error.retry_after if error.retry_after <= LONGEST_PAUSE else None
    return None
