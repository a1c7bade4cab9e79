"""Starlette's routes, one per call."""

import re
from collections.abc import Iterable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from otp_service.api import public
from otp_service.api.operations import ALIASES, CALLBACKS, OPERATIONS, TWILIO

_WITHOUT_ID = frozenset(each.path for each in OPERATIONS if "{" not in each.path)


class _ExactRoute(Route):
    """A route that matches the whole path: `$` also matches before a trailing newline.

    `allowed`: the methods of all routes of the path, for the refusal of another one.
    """

    def __init__(self, path: str, *args: Any, allowed: Iterable[str] = (), **kwargs: Any) -> None:
        # A subject is the application's own text, and may contain a slash.
        super().__init__(path.replace("{subject}", "{subject:path}"), *args, **kwargs)
        self.path = path  # for logs and metrics
        self._allowed = [*allowed]
        # DOTALL: a subject with a newline is refused by its handler.
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return no match if the path is that of another call: `search` is no id."""
        if self.param_convertors and scope["path"] in _WITHOUT_ID:
            return Match.NONE, {}
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. Raises HTTPException if no route of the path has its method."""
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(405, headers={"Allow": ", ".join(self._allowed)})
        await self.app(scope, receive, send)


class _HiddenRoute(_ExactRoute):
    """A route that answers other methods with 404: a 405 would reveal that it exists."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return (match, found) if match is Match.FULL else (Match.NONE, {})


def _routes() -> list[Route]:
    allowed: dict[str, list[str]] = {"/": ["GET", "HEAD"]}
    known = OPERATIONS + ALIASES + TWILIO
    for each in known:
        allowed.setdefault(each.path, []).extend(["GET", "HEAD"] if each.method == "GET" else [each.method])
    shown: list[Route] = [
        _ExactRoute(each.path, each.handler, methods=[each.method], allowed=allowed[each.path]) for each in known
    ]
    home = _ExactRoute("/", public.home, methods=["GET"], allowed=allowed["/"])
    return [home, *shown, *(_HiddenRoute(each.path, each.handler, methods=[each.method]) for each in CALLBACKS)]


ROUTES = _routes()
