"""A server that kills itself at the step of a request that the header `Crash-At` names.

A step is the moment before or after a commit, a gateway call or a hash, or before the response is sent. `GET /steps`
returns how many steps the newest request with that header has taken.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otp_service import app
from otp_service.cli import serve
from otp_service.database.engine import Database
from otp_service.gateways import base
from otp_service.gateways.ogangi.client import OgangiGateway
from otp_service.hashing.hasher import PinHash, PinHasher
from otp_service.services.context import Context
from otp_service.services.operations.loops import Loop

T = TypeVar("T")
HEADER = b"crash-at"


@dataclass
class _Steps:
    """The steps of the newest request with the header."""

    taken: int = 0
    crash_at: int = 0

    def step(self) -> None:
        self.taken += 1
        if self.taken == self.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, work: Awaitable[T]) -> T:
        self.step()
        result = await work
        self.step()
        return result


_steps = _Steps()


class _Database(Database):
    async def write(self, work: Callable[[Connection], T], **how: Any) -> T:
        def and_step(tx: Connection) -> T:
            result = work(tx)
            _steps.step()  # the statements are run, and not committed
            return result

        result = await super().write(and_step, **how)
        _steps.step()
        return result


class _Hasher(PinHasher):
    async def hash(self, *args: Any) -> PinHash:
        return await _steps.around(super().hash(*args))

    async def matches(self, *args: Any) -> bool:
        return await _steps.around(super().matches(*args))

    async def compare_nothing(self, *args: Any) -> None:
        await _steps.around(super().compare_nothing(*args))


class _Gateway(OgangiGateway):
    async def send_pin(self, *args: Any) -> base.Sent:
        return await _steps.around(super().send_pin(*args))

    async def send_sms(self, *args: Any) -> base.Sent:
        return await _steps.around(super().send_sms(*args))

    async def send_mt(self, *args: Any) -> base.Sent:
        return await _steps.around(super().send_mt(*args))


class _Counted:
    """Middleware that counts the steps of a request."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/steps":
            await PlainTextResponse(str(_steps.taken))(scope, receive, send)
            return
        crash_at = dict(scope.get("headers", [])).get(HEADER)
        if crash_at is not None:
            _steps.taken, _steps.crash_at = 0, int(crash_at)

        async def sending(message: Message) -> None:
            if crash_at is not None and message["type"] == "http.response.start":
                _steps.step()
            await send(message)

        await self._inner(scope, receive, sending)


def crash_when_asked() -> None:
    """The twist of a Replica. Only the outbox loop runs, because other loops would take steps of their own."""
    loops, worker = app._loops, serve.worker

    def only_outbox(ctx: Context) -> list[Loop]:
        return [loop for loop in loops(ctx) if loop.name == "outbox"]

    def counted() -> Starlette:
        return _Counted(worker())  # type: ignore[return-value]

    parts = {"Database": _Database, "PinHasher": _Hasher, "OgangiGateway": _Gateway, "_loops": only_outbox}
    assert parts.keys() <= vars(app).keys()
    vars(app).update(parts)
    vars(serve).update(worker=counted)
