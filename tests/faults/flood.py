"""More calls than a server can handle, from a cheap client: plain HTTP over persistent connections."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from tests.faults.history import Call

HEAD_END = b"\r\n\r\n"


@dataclass
class Flood:
    """`pause`: seconds before the next call after a refusal; `calls`: of all, in the order of their answers."""

    url: str
    api_key: str = field(repr=False)
    pause: float = 0.0
    calls: list[Call] = field(default_factory=list, repr=False)

    async def pour(self, following: Callable[[], tuple[str, dict[str, str], Call]], until: float) -> None:
        """One connection: the next call as soon as the last one is answered, until that moment of the monotonic
        clock. `following`: path, body, and the call as the history should know it."""
        reader, writer = await asyncio.open_connection(urlsplit(self.url).hostname, urlsplit(self.url).port)
        while time.monotonic() < until:
            path, body, call = following()
            begun = time.monotonic()
            writer.write(self._request(path, json.dumps(body).encode()))
            status, headers, answered = await _answer(reader)
            shown = json.loads(answered)
            taken = time.monotonic() - begun
            self.calls.append(
                replace(call, status=status, body=shown, retry_after=headers.get("retry-after"), seconds=taken)
            )
            if status == 503:
                await asyncio.sleep(self.pause)
        writer.close()
        await writer.wait_closed()

    def _request(self, path: str, body: bytes) -> bytes:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: flood\r\nAuthorization: Bearer {self.api_key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(HEAD_END)).decode("latin-1").splitlines()
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split(" ")[1]), headers, await reader.readexactly(int(headers["content-length"]))


@dataclass(frozen=True)
class Tally:
    """The calls of one kind. Times are seconds."""

    accepted: list[float]
    refused: list[float]

    @classmethod
    def of(cls, calls: list[Call], operation: str) -> "Tally":
        """Those of an operation, sorted by their time."""
        ours = [call for call in calls if call.operation == operation]
        accepted = sorted(call.seconds for call in ours if call.status in (200, 201))
        return cls(accepted, sorted(call.seconds for call in ours if call.status not in (200, 201)))

    def __str__(self) -> str:
        accepted, refused = _times(self.accepted), _times(self.refused)
        return f"{len(self.accepted)} accepted ({accepted}), {len(self.refused)} refused ({refused})"


def percentile(times: list[float], share: float) -> float:
    """Of sorted times; 0 where there are none."""
    return times[min(len(times) - 1, int(len(times) * share))] if times else 0.0


def _times(times: list[float]) -> str:
    return f"p50 {percentile(times, 0.5) * 1000:.0f} ms, p99 {percentile(times, 0.99) * 1000:.0f} ms"
