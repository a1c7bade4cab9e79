"""One connection to a caller: uvicorn's, with bounds on how many there are, on heads, on requests ahead of answers, and
on the time that each takes."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_CONNECTIONS = 2000
"""Of one process; what comes beyond is told to come back."""
MOST_HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 10.0
"""From the first byte of a request, or from the connection, until its head is complete."""
BODY_SECONDS = 10.0
"""From then on until its body is; the largest one has 64 KiB."""
TAKE_SECONDS = 10.0
"""From when the caller should take what is written, until it has."""
LINGER_SECONDS = 2.0
"""After an answer to a body that was not read to its end, so that the caller can read the answer."""
MOST_BODY_BYTES = 1024 * 1024
"""Including chunk headers and trailers, which no handler bounds, and what comes after the response."""
MOST_AHEAD = 16
"""Requests that wait on one connection for the answer to the one before."""

_TOO_MANY = "503 Service Unavailable"
_HEAD_TOO_LARGE = "431 Request Header Fields Too Large"
_TOO_SLOW = "408 Request Timeout"


class Connection(HttpToolsProtocol):
    """Refuses in plain text and closes: who gets this far out of bounds reads no problem document."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._until_taken: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._in_head = True
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and wait for the first head."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(_TOO_MANY, "Retry-After: 1\r\n")
            return
        self._wait(HEAD_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the waits."""
        self._stop_waiting()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bound the head, and the data that nobody reads any more."""
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        if self._in_body:
            self._body_bytes += len(data)
            if self._body_bytes > MOST_BODY_BYTES:
                self.transport.abort()
                return
        super().data_received(data)
        if self._is_idle and self._timer is None:  # uvicorn has stopped waiting, and no request has begun
            self._wait(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Start the time limit of a head."""
        super().on_message_begin()
        if not self._in_head:
            self._in_head, self._head_bytes = True, 0
            self._wait_for_caller()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head. Trailers of a chunked body are ignored: a proxy in front has not checked them."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the time limit of the body, and handle the request; close if the caller has sent too much ahead."""
        if len(self.pipeline) >= MOST_AHEAD:
            self.transport.abort()
        if self.transport.is_closing():  # the parser goes on to the end of what it got
            return
        self._in_head, self._in_body, self._body_bytes = False, True, 0
        super().on_headers_complete()
        self._wait_for_caller()

    def on_message_complete(self) -> None:
        """End the wait for the caller: its request is complete."""
        self._in_body = False
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Discard the rest of a body for a moment if the response came before its end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._close_in_time()
        elif self._in_body and not self._is_answering:
            self._wait(LINGER_SECONDS, self.transport.abort)
        elif self._in_head or self._in_body:  # of the next one, which was not read meanwhile
            self._wait_for_caller()

    def pause_writing(self) -> None:
        """Start the time limit of a caller that does not read the response."""
        super().pause_writing()
        self._until_taken = self.loop.call_later(TAKE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """End the time limit: the caller has read most of the response."""
        self._taken()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._close_in_time()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        if self._owes_an_answer:
            self.transport.abort()
            return
        super().send_400_response(msg)
        self._close_in_time()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    @property
    def _is_idle(self) -> bool:
        return not self._in_head and not self._in_body and not self._is_answering

    @property
    def _owes_an_answer(self) -> bool:
        """Return whether what is written now would be read as the response to an earlier request."""
        return bool(self.pipeline) or (self._is_answering and not self._in_body)

    def _wait_for_caller(self) -> None:
        if self.flow.read_paused:  # it is we who do not read
            self._stop_waiting()
        else:
            self._wait(HEAD_SECONDS if self._in_head else BODY_SECONDS, self._too_slow)

    def _wait(self, seconds: float, then: Any) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _taken(self) -> None:
        if self._until_taken is not None:
            self._until_taken.cancel()
            self._until_taken = None

    def _close_in_time(self) -> None:
        # A closing transport waits until everything is taken, for ever if need be.
        self._wait(TAKE_SECONDS, self.transport.abort)

    def _too_slow(self) -> None:
        # If the request is being handled already, it learns that the caller is gone.
        self._refuse(_TOO_SLOW)

    def _refuse(self, status: str, header: str = "") -> None:
        if self._owes_an_answer:
            self.transport.abort()
            return
        head = f"HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n"
        self.transport.write(head.encode("ascii"))
        self.transport.close()
        self._close_in_time()
