"""A load generator that costs little: keep-alive connections, prepared requests, latencies."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

_END = b"\r\n\r\n"


@dataclass
class Load:
    """What came of one run. `latencies`: seconds, of each answer by status class."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: dict[int, list[float]] = field(default_factory=dict)

    def rate(self, status: int) -> float:
        """Answers of a status per second."""
        return self.statuses[status] / self.seconds

    def percentile(self, status: int, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies.get(status, []))
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else float("nan")

    def note(self, status: int, seconds: float) -> None:
        """One answer."""
        self.statuses[status] += 1
        self.latencies.setdefault(status, []).append(seconds)


def request(method: str, path: str, api_key: str, body: bytes = b"") -> bytes:
    """One request, ready to be written."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """Writes the next request when an answer is complete, until the time is over."""

    def __init__(self, requests: Iterator[bytes], load: Load, since: float, until: float, pace: float) -> None:
        self._requests, self._load, self._pace = requests, load, pace
        self._since, self._until = since, until
        self._buffer = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        following = next(self._requests, None)
        if following is None or time.perf_counter() >= self._until:
            self._transport.close()
            return
        self._begun = time.perf_counter()
        self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(_END)
        if head < 0:
            return
        lowered = bytes(self._buffer[:head]).lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < head + len(_END) + length:
            return
        if self._begun >= self._since:
            self._load.note(int(self._buffer[9:12]), time.perf_counter() - self._begun)
        self._buffer.clear()
        if self._pace:
            asyncio.get_running_loop().call_later(self._pace, self._next)
        else:
            self._next()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def run(
    port: int,
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float,
    pace: float = 0.0,
    warm_up: float = 0.0,
) -> Load:
    """As many requests as go through so many connections in so long.

    `pace`: seconds from an answer to the next request; `warm_up`: seconds before it that are not measured.
    """
    load = Load()
    loop = asyncio.get_running_loop()
    since = time.perf_counter() + warm_up
    until = since + seconds
    made = [
        await loop.create_connection(lambda: _Connection(requests, load, since, until, pace), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    load.seconds = time.perf_counter() - since
    return load
