"""A cheap gateway: it accepts every send after a wait, always with the same PIN."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

_BODY = (
    b"<response><status>OK</status><description>Completed</description>"
    b"<result><PinSMSConfirmation><pin>314159</pin></PinSMSConfirmation></result></response>"
)
_ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


class _Gateway(asyncio.Protocol):
    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            asyncio.get_running_loop().call_later(self._wait, self._answer)

    def _answer(self) -> None:
        self._transport.write(_ANSWER)
        self._transport.close()


@contextmanager
def gateway(wait: float) -> Iterator[str]:
    """Yields the base URL of a gateway that runs in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = asyncio.run_coroutine_threadsafe(
        loop.create_server(lambda: _Gateway(wait), "127.0.0.1", 0, backlog=4096), loop
    ).result()
    yield f"http://127.0.0.1:{made.sockets[0].getsockname()[1]}/mmc"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
