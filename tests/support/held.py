"""Holds a send at the gateway until the test releases it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from otp_service.gateways.base import Sent
from tests.support.service import Service


@dataclass(frozen=True)
class Held:
    """A held send. `done`: the gateway has handled the call; `go_on`: the test releases the response."""

    done: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


def hold_next(service: Service, monkeypatch: pytest.MonkeyPatch, route: str, answer: Sent | None = None) -> Held:
    """Holds the response to the next send by a route. `answer` replaces the response of the gateway."""
    held, name = Held(), f"send_{route}"
    real = getattr(service.ctx.gateway, name)

    async def hold(*args: Any) -> Sent:
        monkeypatch.setattr(service.ctx.gateway, name, real)
        sent: Sent = await real(*args)
        held.done.set()
        await held.go_on.wait()
        return answer or sent

    monkeypatch.setattr(service.ctx.gateway, name, hold)
    return held
