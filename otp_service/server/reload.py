"""An ASGI application that SIGHUP replaces while it serves: no connection is closed, no request is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from otp_service.errors import SettingsError

log = structlog.get_logger("otp_service.reload")

_OLD_STAY = "the old settings stay in force"


class _Served:
    """One running application with the requests that it is answering."""

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._lifespan: AbstractAsyncContextManager[object] = app.router.lifespan_context(app)
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        await self._lifespan.__aenter__()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._requests += 1
        self._idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    async def stop(self) -> None:
        """Wait for the requests under way, then end."""
        await self._idle.wait()
        await self._lifespan.__aexit__(None, None, None)


class Reloadable:
    """Serves what `build` makes. On SIGHUP it builds again, and keeps the old application if that fails.

    `build` raises SettingsError if a setting or the policy is wrong. `on_hangup`: False if SIGHUP means a closed
    terminal, which somebody else handles.
    """

    def __init__(self, build: Callable[[], Starlette], *, on_hangup: bool) -> None:
        self._build = build
        self._on_hangup = on_hangup
        self._app = build()
        self._served: _Served | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the newest application, or run the server's lifespan protocol."""
        if scope["type"] == "lifespan":
            # Starlette speaks the protocol; this application has nothing else to add to it.
            await Starlette(lifespan=self._lifespan)(scope, receive, send)
        elif self._served is not None:
            await self._served.answer(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        self._served = await self._start(self._app)
        if self._on_hangup:
            loop.add_signal_handler(signal.SIGHUP, self._begin_reload)
        yield
        async with self._lock:
            await self._served.stop()

    @staticmethod
    async def _start(app: Starlette) -> _Served:
        served = _Served(app)
        await served.start()
        return served

    def _begin_reload(self) -> None:
        self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        async with self._lock:
            try:
                new = await self._start(self._build())
            except SettingsError as error:
                log.error("reload_failed", problems=error.problems, advice=_OLD_STAY)
                return
            except Exception:  # whatever it is, the service goes on
                log.error("reload_failed", advice=_OLD_STAY, exc_info=True)
                return
            old, self._served = self._served, new
            log.info("reloaded")
            try:
                if old is not None:
                    await old.stop()
            except Exception:  # the new application serves already
                log.error("old_application_not_stopped", exc_info=True)
