"""What the simulator posts to its customer: texts from handsets and new statuses, in order, each tried once."""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlencode

_SECONDS = 2.0
_WAITING = 20_000
_REMEMBERED = 1_000
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost):([0-9]{1,5})(/[!-~]*)?")


class BadAddressError(Exception):
    """The address is not on this machine."""


@dataclass(frozen=True)
class _Address:
    host: str
    port: int
    target: str


class Callbacks:
    """The callbacks of one customer. `url`: where they are posted, None if they are only kept."""

    def __init__(self, url: str | None) -> None:
        self._waiting: deque[dict[str, str]] = deque()
        self._notices: deque[dict[str, str]] = deque(maxlen=_REMEMBERED)
        self._worker: asyncio.Task[None] | None = None
        self.call(url)

    def call(self, url: object) -> None:
        """Post to `url` from now on, or nowhere; reset the counts and drop what waits. Raises BadAddressError."""
        self._address = _address(url)
        self._waiting.clear()
        if self._worker is not None:
            self._worker.cancel()
            self._worker = None
        self._sent = self._failed = 0

    def notify(self, fields: dict[str, str]) -> None:
        """Post `fields` in the background, after all that wait."""
        self._notices.append(fields)
        if self._address is None:
            return
        if len(self._waiting) >= _WAITING:
            self._failed += 1
            return
        self._waiting.append(fields)
        if not self._is_working():
            self._worker = asyncio.get_running_loop().create_task(self._work(self._address))

    def notices(self) -> list[dict[str, str]]:
        """Return the callbacks, newest first, posted or not."""
        return list(reversed(self._notices))

    def as_json(self) -> dict[str, int]:
        """Return how many were accepted (HTTP 2xx) and dropped, and how many wait or are under way."""
        return {"sent": self._sent, "failed": self._failed, "waiting": len(self._waiting) + self._is_working()}

    def _is_working(self) -> bool:
        return self._worker is not None and not self._worker.done()

    async def _work(self, address: _Address) -> None:
        while self._waiting:
            if await _post(address, self._waiting.popleft()):
                self._sent += 1
            else:
                self._failed += 1


def _address(url: object) -> _Address | None:
    """Return the URL if it is on loopback: the simulator must not call other machines. Raises BadAddressError."""
    if url is None:
        return None
    found = _LOOPBACK.fullmatch(url) if isinstance(url, str) else None
    if not found or int(found[2]) > 65535:
        raise BadAddressError("should be null or an address such as http://127.0.0.1:8000/path")
    return _Address(found[1], int(found[2]), found[3] or "/")


async def _post(address: _Address, fields: dict[str, str]) -> bool:
    """Return whether the callback was answered with 2xx in time."""
    body = urlencode(fields, errors="replace")
    head = (
        f"POST {address.target} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\nConnection: close\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_SECONDS):
            status = await _first_line(address, (head + body).encode("ascii"))
    except (OSError, ValueError):
        return False
    return re.match(rb"HTTP/1\.[01] 2", status) is not None


async def _first_line(address: _Address, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(request)
        line = await reader.readline()
        while await reader.read(65536):
            pass
        return line
    finally:
        writer.close()
