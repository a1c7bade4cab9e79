"""One call of the API, for Starlette's routing and for OpenAPI; and one event, for OpenAPI."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from otp_service.errors import ErrorCode


@dataclass(frozen=True)
class Event:
    """An event that webhooks get. `data`: the shape of its content."""

    name: str
    meaning: str
    data: type[BaseModel]


@dataclass(frozen=True, eq=False)
class Operation:
    """One call. `answers`: status -> model, the media type of a text, or None without a body.

    `refusals`: codes beyond those of every call; `has_limit_headers`: adds the headers of the client's limit; `query`:
    the query parameters; `takes_proof`: in the header `X-Proof`.
    """

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    body: type[BaseModel] | None
    answers: Mapping[int, type[BaseModel] | str | None]
    refusals: tuple[ErrorCode, ...] = ()
    needs_api_key: bool = True
    has_limit_headers: bool = False
    query: type[BaseModel] | None = None
    takes_proof: bool = False

    @property
    def id(self) -> str:
        """Return the `operationId`: module and function of the handler."""
        return f"{self.handler.__module__.rpartition('.')[2]}.{self.handler.__name__}"

    @property
    def noun(self) -> str:
        """Return what the call is about, such as `verifications`; `service` for the calls outside of /v1."""
        return self.path.split("/")[2] if self.path.startswith("/v1/") else "service"

    @property
    def changes_something(self) -> bool:
        """Return whether the call takes an `Idempotency-Key`."""
        return self.method == "POST"

    @property
    def body_is_optional(self) -> bool:
        """Return whether the call can be sent without its body."""
        return self.method == "DELETE"
