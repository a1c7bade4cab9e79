"""Gives every request an id, a log line and metrics, and a response even after an internal error."""

import ipaddress
import itertools
import secrets
import time
from collections.abc import Callable

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otp_service.observability.metrics import REQUEST_SECONDS, REQUESTS

log = structlog.get_logger("otp_service.api")

_NOT_STORED = ("/v1/", "/v2/")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})


class Observed:
    """Pure ASGI middleware. Logs and counts the template of the matching route, never the path itself."""

    def __init__(self, app: ASGIApp, internal: Callable[[Scope], Response]) -> None:
        self._app = app
        self._internal = internal  # makes the response after an unexpected exception
        # Unique but not secret: random bytes for every request would be a system call that releases the GIL.
        self._process = f"{secrets.token_hex(8)}-"
        self._requests = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{self._process}{next(self._requests):x}"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = _Answer(scope, send, request_id)
        begun = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            log.error("request_broke", exc_info=True)
            if not answer.status:
                await self._internal(scope)(scope, receive, answer.send)
        self._record(scope, answer.status, time.perf_counter() - begun)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")  # Starlette's, once one has matched
        template = route.path if route is not None else None
        # A method can be any text: only those that we serve become a label.
        method = scope["method"] if template and status != 405 else "other"
        REQUESTS.labels(template or "other", method, str(status)).inc()
        REQUEST_SECONDS.labels(template or "other").observe(seconds)
        level = "debug" if template in _QUIET else "info"
        ms = round(seconds * 1000, 1)
        getattr(log, level)("request", method=method, route=template, status=status, ms=ms, peer=_peer(scope))


def _peer(scope: Scope) -> str | None:
    """Return the caller's address; None if a proxy's X-Forwarded-For is not an address."""
    host: str = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if "%" in host else str(address)  # a zone can be any text


class _Answer:
    """Adds the headers that every response has, and remembers the status."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._send = send
        self._headers = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
        if scope["path"].startswith(_NOT_STORED):
            self._headers.append((b"cache-control", b"no-store"))
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers]}
        await self._send(message)
