"""Servers on real ports: an ASGI app under uvicorn, and a bare socket that responds as a test wants."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import uvicorn
from starlette.types import ASGIApp

from tests.support.patience import PATIENCE

# A client loads the roots of trust, which takes 30 ms, and whoever waits for a server asks often.
_http = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


class _Server(uvicorn.Server):
    """Reports when it serves, or that it never will."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self.settled.set()


@contextmanager
def running(app: ASGIApp, listener: socket.socket | None = None, **options: Any) -> Iterator[str]:
    """Runs `app` under uvicorn in a thread on a free port of 127.0.0.1, and yields its base URL (no final slash)."""
    listener = listener or socket.create_server(("127.0.0.1", 0), backlog=1024)
    of_tests = {"log_config": None, "log_level": "warning", "ws": "none", "timeout_graceful_shutdown": 1}
    config = uvicorn.Config(app, **{**of_tests, **options})
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        assert server.settled.wait(PATIENCE), "the server did not start in time"
        assert server.started, "the server could not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
        assert not thread.is_alive(), "the server did not stop in time"


@dataclass
class Bare:
    """A bare server: its address, and the heads of the requests that it received."""

    base_url: str
    heads: list[str] = field(default_factory=list)


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def bare_server(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Bare]:
    """Yields a socket that reads the head of one request, calls `answer`, then closes."""
    bare = Bare("")
    open_now: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now[cast("asyncio.Task[None]", asyncio.current_task())] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            bare.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("ascii"))
            await answer(reader, writer)
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    bare.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield bare
    finally:
        server.close()
        for writer in open_now.values():
            writer.transport.abort()
        await asyncio.gather(*open_now)


def responds(url: str) -> bool:
    """Returns whether a server answers there, and with success."""
    try:
        return _http.get(url).is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    """Returns a port of 127.0.0.1 on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
