"""One call of the API: what Starlette routes and OpenAPI describes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, eq=False)
class Operation:
    """One call. `answers`: status -> its model, or the media type of a text.

    `refusals`: codes beside those that every call with a key can give; `tells_what_is_left`: of the client's own limit.
    """

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    body: type[BaseModel] | None
    answers: dict[int, type[BaseModel] | str]
    refusals: tuple[str, ...] = ()
    needs_api_key: bool = True
    tells_what_is_left: bool = False

    @property
    def changes_something(self) -> bool:
        """Whether it takes an `Idempotency-Key`."""
        return self.method == "POST"
