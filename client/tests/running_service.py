"""The tester's side of a running service, and one face for both clients."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Connect = Callable[..., Any]
"""Makes a client of the running service, unless another address or transport is given."""


@dataclass(frozen=True)
class Dev:
    """A running `otp-service dev`."""

    url: str
    key: str = field(repr=False)
    simulator: str

    def messages(self, to: str) -> list[dict[str, Any]]:
        """Returns the messages to a number, newest first."""
        found: list[dict[str, Any]] = httpx.get(f"{self.simulator}/messages", params={"to": to}).json()
        return found

    def pin(self, to: str) -> str:
        """Returns the PIN of the newest message to a number."""
        return str(self.messages(to)[0]["pin"])


class Awaited:
    """An AsyncClient whose methods wait for their answer, so that a test can run with both clients."""

    def __init__(self, inner: Any, run: Callable[[Any], Any]) -> None:
        self._inner = inner
        self._run = run

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if asyncio.iscoroutinefunction(value):
            return lambda *arguments, **named: self._run(value(*arguments, **named))
        return Awaited(value, self._run)
