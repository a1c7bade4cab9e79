"""A cheap load generator: keep-alive connections, prepared requests, latencies."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import SystemRandom
from typing import cast

_END = b"\r\n\r\n"
_RANDOM = SystemRandom()
OVERLOADED = 503
SPREAD = 0.25
"""By how much of `Retry-After` a patient caller waits longer, at the most: not all come back at once."""


@dataclass
class Load:
    """The responses within the time of one run. `latencies` are seconds per response, by status."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: dict[int, list[float]] = field(default_factory=dict)

    def rate(self, status: int) -> float:
        """Returns the responses per second with a status."""
        return self.statuses[status] / self.seconds

    def percentile(self, status: int, share: float) -> float:
        """Returns a percentile in milliseconds."""
        ordered = sorted(self.latencies.get(status, []))
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else float("nan")

    def note(self, status: int, seconds: float) -> None:
        """Adds a response."""
        self.statuses[status] += 1
        self.latencies.setdefault(status, []).append(seconds)


def request(method: str, path: str, api_key: str, body: bytes = b"") -> bytes:
    """Returns the bytes of one request."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Caller(asyncio.Protocol):
    """Sends the next request when a response is complete, until the time is over."""

    def __init__(self, port: int, requests: Iterator[bytes], load: Load, plan: "_Plan") -> None:
        self._port, self._requests, self._load, self._plan = port, requests, load, plan
        self._buffer = bytearray()
        self._rests = False
        self._comes_first = True
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()

    async def connect(self) -> None:
        """Opens the connection; without a pace, sends the first request at once."""
        await self._loop.create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        first, self._comes_first = self._comes_first, False
        self._go_on(self._plan.first_rest() if first else 0.0)

    def _next(self) -> None:
        self._rests = False
        following = next(self._requests, None) if time.perf_counter() < self._plan.until else None
        if following is None:
            self._transport.close()
            self._finish()
            return
        self._begun = time.perf_counter()
        self._transport.write(following)

    def _after_rest(self) -> None:
        if self._transport.is_closing():  # the server keeps an idle connection for a while only
            self._reconnecting = self._loop.create_task(self.connect())
        else:
            self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(_END)
        if head < 0:
            return
        lowered = bytes(self._buffer[:head]).lower()
        if len(self._buffer) < head + len(_END) + (_number(lowered, b"content-length:") or 0):
            return
        status = int(self._buffer[9:12])
        self._buffer.clear()
        if self._plan.since <= (now := time.perf_counter()) <= self._plan.until:
            self._load.note(status, now - self._begun)
        self._go_on(self._plan.rest(status, _number(lowered, b"retry-after:")))

    def _go_on(self, rest: float) -> None:
        if not rest:
            self._next()
            return
        self._rests = True
        self._loop.call_later(min(rest, max(0.0, self._plan.until - time.perf_counter())), self._after_rest)

    def connection_lost(self, _: Exception | None) -> None:
        if not self._rests:
            self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _number(head: bytes, name: bytes) -> int | None:
    at = head.find(name)
    return int(head[at + len(name) :].split(b"\r\n", 1)[0]) if at >= 0 else None


@dataclass(frozen=True)
class _Plan:
    """Measures from `since` to `until` on the performance counter; `pace` and `patient` as in `run`."""

    since: float
    until: float
    pace: float
    patient: bool

    def first_rest(self) -> float:
        """Returns the seconds until the first request: with a pace, callers do not all start at once."""
        return _RANDOM.uniform(0, self.pace)

    def rest(self, status: int, retry_after: int | None) -> float:
        """Returns the seconds until the next request, at random: callers that were held up together must part again."""
        if self.patient and status == OVERLOADED and retry_after is not None:
            return retry_after * _RANDOM.uniform(1, 1 + SPREAD)
        return _RANDOM.uniform(0, 2 * self.pace)


async def run(
    port: int,
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float,
    pace: float = 0.0,
    warm_up: float = 0.0,
    patient: bool = False,
) -> Load:
    """Sends requests over this many connections for this long.

    `pace`: seconds from a response to the next request, on average; `warm_up`: seconds before the measurement;
    `patient`: after a 503, a caller waits for `Retry-After` and up to a quarter longer.
    """
    load = Load()
    since = time.perf_counter() + warm_up
    until = since + seconds
    plan = _Plan(since, until, pace, patient)
    callers = [_Caller(port, requests, load, plan) for _ in range(connections)]
    for each in callers:
        await each.connect()
    await asyncio.gather(*(each.done for each in callers))
    load.seconds = min(time.perf_counter(), until) - since
    return load
