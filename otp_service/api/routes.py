"""The table of routes: Starlette's routing and the OpenAPI document are both made from it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import operations, verifications
from .answers import (
    AliveAnswer,
    CheckAnswer,
    DocumentAnswer,
    EventsAnswer,
    KeysAnswer,
    ReadyAnswer,
    VerificationAnswer,
)
from .models import CheckBody, StartBody

_SENDING = ("rate_limited", "gateway_failed", "overloaded")


@dataclass(frozen=True, eq=False)
class Operation:
    """One call. `answers`: status -> its model, or the media type of a text.

    `refusals`: codes beside those that every call with a key can give.
    """

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    body: type[BaseModel] | None
    answers: dict[int, type[BaseModel] | str]
    refusals: tuple[str, ...] = ()
    needs_key: bool = True

    @property
    def changes_something(self) -> bool:
        """Whether it takes an `Idempotency-Key`."""
        return self.method == "POST"


_ALL = "/v1/verifications"
_ONE = "/v1/verifications/{id}"

_WITH_KEY = (
    Operation(
        "POST",
        _ALL,
        verifications.create,
        StartBody,
        {201: VerificationAnswer, 200: VerificationAnswer},
        ("invalid_number", "country_not_allowed", *_SENDING),
    ),
    Operation("GET", _ONE, verifications.read, None, {200: VerificationAnswer}, ("not_found",)),
    Operation(
        "POST",
        f"{_ONE}/checks",
        verifications.check,
        CheckBody,
        {200: CheckAnswer},
        ("not_found", "invalid_number", "mismatch", "overloaded"),
    ),
    Operation(
        "POST",
        f"{_ONE}/resends",
        verifications.resend,
        None,
        {200: VerificationAnswer},
        ("not_found", "not_pending", "no_sends_left", *_SENDING),
    ),
    Operation(
        "POST", f"{_ONE}/cancel", verifications.cancel, None, {200: VerificationAnswer}, ("not_found", "not_pending")
    ),
    Operation("GET", f"{_ONE}/events", verifications.events, None, {200: EventsAnswer}, ("not_found",)),
)


def _open(
    path: str,
    handler: Callable[[Request], Awaitable[Response]],
    answers: dict[int, type[BaseModel] | str],
    *refusals: str,
) -> Operation:
    return Operation("GET", path, handler, None, answers, refusals, needs_key=False)


_WITHOUT_KEY = (
    _open("/livez", operations.livez, {200: AliveAnswer}),
    _open("/readyz", operations.readyz, {200: ReadyAnswer, 503: ReadyAnswer}),
    _open("/metrics", operations.show_metrics, {200: "text/plain"}, "unauthorized"),
    _open("/openapi.json", operations.show_openapi, {200: DocumentAnswer}),
    _open("/docs", operations.show_docs, {200: "text/html"}),
    _open("/.well-known/jwks.json", operations.jwks, {200: KeysAnswer}),
)

OPERATIONS = _WITH_KEY + _WITHOUT_KEY
"""All calls."""


class _ExactRoute(Route):
    """A route whose pattern ends where the path ends: `$` also matches before a newline."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")


def routes() -> list[Route]:
    """Starlette's routes; one per call."""
    return [_ExactRoute(each.path, each.handler, methods=[each.method]) for each in OPERATIONS]
