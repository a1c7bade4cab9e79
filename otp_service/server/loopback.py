"""Keeps web pages of other sites away from a server on this machine."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_REFUSAL = "Use http://127.0.0.1 or http://localhost, and not from a page of another site.\n"
_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class LoopbackOnly:
    """Answers requests for loopback names only, and none that a page of another site makes.

    A browser sends the page's host name in `Host` if that name was made to resolve to this machine (DNS rebinding),
    and the page's site in `Origin` if the page posts here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http" and not _is_allowed(Headers(scope=scope)):
            await PlainTextResponse(_REFUSAL, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_allowed(headers: Headers) -> bool:
    origin = headers.get("origin")
    return _is_loopback(f"//{headers.get('host', '')}") and (origin is None or _is_loopback(origin))


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in _NAMES
    except ValueError:
        return False
