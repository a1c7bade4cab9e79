"""The table of routes: Starlette's routing and the OpenAPI document are both made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import operations, verifications
from .models import CheckAnswer, CheckBody, EventsAnswer, StartBody, VerificationAnswer

_SENDING = ("rate_limited", "gateway_failed", "overloaded")


@dataclass(frozen=True)
class Operation:
    """One call. `answers`: status -> model; `refusals`: codes beside those that every call with a key can give."""

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    body: type[BaseModel] | None
    answers: dict[int, type[BaseModel]]
    refusals: tuple[str, ...] = ()

    @property
    def changes_something(self) -> bool:
        """Whether it takes an `Idempotency-Key`."""
        return self.method == "POST"


_ONE = "/v1/verifications/{id}"

OPERATIONS = (
    Operation(
        "POST",
        "/v1/verifications",
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
"""The calls with a key."""

OPEN = {
    "/livez": operations.livez,
    "/readyz": operations.readyz,
    "/metrics": operations.show_metrics,
    "/openapi.json": operations.show_openapi,
    "/docs": operations.show_docs,
    "/.well-known/jwks.json": operations.jwks,
}
"""The calls without a key."""


def routes() -> list[Route]:
    """Starlette's routes; one per path and method."""
    with_key = [Route(each.path, each.handler, methods=[each.method]) for each in OPERATIONS]
    return with_key + [Route(path, handler, methods=["GET"]) for path, handler in OPEN.items()]
