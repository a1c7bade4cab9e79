"""A network between the service and PostgreSQL that can fail: TCP on loopback, forwarded to the server's socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

CHUNK = 65536


@dataclass
class Proxy:
    """Forwards connections from `port` to PostgreSQL's `socket`."""

    socket: Path
    port: int = 0
    refusing: bool = False
    _moving: asyncio.Event = field(default_factory=asyncio.Event)
    _open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = field(default_factory=dict)

    def freeze(self) -> None:
        """Stops forwarding in both directions. Connections stay open, and new ones are accepted."""
        self._moving.clear()

    def thaw(self) -> None:
        """Forwards again, starting with what was held back."""
        self._moving.set()

    def cut(self) -> None:
        """Resets every connection, and each new one."""
        self.refusing = True
        for writers in self._open.values():
            for writer in writers:
                writer.transport.abort()

    def mend(self) -> None:
        """New connections are forwarded again."""
        self.refusing = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self.refusing or task is None:
            writer.transport.abort()
            return
        self._open[task] = [writer]
        with suppress(OSError):
            await self._moving.wait()
            upstream, downstream = await asyncio.open_unix_connection(self.socket)
            self._open[task].append(downstream)
            await asyncio.gather(self._pump(reader, downstream), self._pump(upstream, writer))
        for each in self._open.pop(task):
            each.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(CHUNK):
                await self._moving.wait()
                sink.write(chunk)
                await sink.drain()
        sink.transport.abort()


@asynccontextmanager
async def proxy(socket: Path) -> AsyncIterator[Proxy]:
    """Yields a proxy that forwards."""
    made = Proxy(socket)
    made.thaw()
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.thaw()
        tasks = list(made._open)
        made.cut()
        await asyncio.gather(*tasks)
