"""Who does not take answers, asks far ahead or sends nothing of use is cut off: one connection with small buffers."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
from starlette.types import Receive, Scope, Send

from otp_service.server import protocol
from tests.support.servers import running

SMALL = 4096
MOST_SECONDS = 8


@dataclass
class Answering:
    """Answers with as many bytes as the path says, as soon as it may; a PUT after its body. `asked`: the paths."""

    asked: list[str] = field(default_factory=list)
    may: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.asked.append(scope["path"])
        await asyncio.to_thread(self.may.wait, MOST_SECONDS)
        while scope["method"] == "PUT" and (await receive())["more_body"]:
            pass
        size = int(scope["path"][1:])
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * size})


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Answering:
    monkeypatch.setattr(protocol, "TAKE_SECONDS", 0.5)
    answering = Answering()
    answering.may.set()
    return answering


@contextmanager
def connected(app: Answering) -> Iterator[socket.socket]:
    """A caller and a server that hold a few kilobytes each outside the process."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    with (
        running(app, listener, http=protocol.Connection, loop="uvloop", timeout_keep_alive=1),
        socket.socket() as caller,
    ):
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        caller.settimeout(MOST_SECONDS)
        caller.connect(listener.getsockname())
        yield caller


def ask(caller: socket.socket, *paths: str, more: str = "") -> None:
    caller.sendall("".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n" for path in paths).encode())


def answer(caller: socket.socket, end: str) -> bytes:
    """What comes until it ends with this."""
    got = b""
    while not got.endswith(f"\r\n\r\n{end}".encode()):
        chunk = caller.recv(SMALL)
        assert chunk, f"closed after {got!r}"
        got += chunk
    return got


def is_cut_off(caller: socket.socket, sent: bytes = b"\r\n") -> bool:
    """Whether the server ends the connection of a caller that reads nothing and goes on sending what begins nothing."""
    until = time.monotonic() + MOST_SECONDS
    with suppress(ConnectionError):
        while time.monotonic() < until:
            caller.sendall(sent)
            time.sleep(0.02)
        return False
    return True


@pytest.mark.parametrize(
    ("size", "more"),
    [(1_000_000, ""), (40_000, ""), (40_000, "Connection: close\r\n")],
    ids=["more than is written at once", "all of it written, then idle", "all of it written, then closed"],
)
def test_who_does_not_take_an_answer_is_cut_off(app: Answering, size: int, more: str) -> None:
    with connected(app) as caller:
        ask(caller, f"/{size}", more=more)
        assert is_cut_off(caller)


def test_who_takes_an_answer_slowly_gets_all_of_it(app: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TAKE_SECONDS", MOST_SECONDS)  # a busy machine takes slowly enough
    with connected(app) as caller:
        ask(caller, "/200000", more="Connection: close\r\n")
        got = 0
        while chunk := caller.recv(2000):
            got += len(chunk)
            time.sleep(0.002)
        assert got > 200_000


def test_trailers_of_a_body_are_no_headers() -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        while (await receive())["more_body"]:
            pass
        seen.append(list(scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"x"})

    request = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n%s\r\n"
    with (
        running(app, http=protocol.Connection, loop="uvloop") as url,
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), MOST_SECONDS) as caller,
    ):
        for trailers in (b"Authorization: Bearer otp_x\r\n", b"X-Y: z\r\n" * 3, b""):
            caller.sendall(request % trailers)
            answer(caller, "x")
    assert seen == [[(b"host", b"x"), (b"transfer-encoding", b"chunked")]] * 3


def test_blank_lines_after_an_answer_are_no_request(app: Answering) -> None:
    with connected(app) as caller:
        ask(caller, "/1")
        answer(caller, "x")
        assert is_cut_off(caller)


def test_the_rest_of_a_body_after_its_answer_is_no_request(app: Answering) -> None:
    with connected(app) as caller:
        caller.sendall(b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1")
        answer(caller, "x")
        caller.sendall(b"2")
        assert caller.recv(SMALL) == b""


def test_requests_ahead_are_answered_in_order_up_to_the_bound(app: Answering) -> None:
    sizes = range(1, protocol.MOST_AHEAD + 2)
    with connected(app) as caller:
        ask(caller, *(f"/{size}" for size in sizes))
        answer(caller, "x" * sizes[-1])
    assert app.asked == [f"/{size}" for size in sizes]


def test_who_asks_far_ahead_is_cut_off(app: Answering) -> None:
    app.may.clear()
    with connected(app) as caller:
        ask(caller, *["/1"] * 5000)
        assert is_cut_off(caller)
        app.may.set()
    assert app.asked == ["/1"]


def test_a_body_behind_another_request_has_its_own_time(app: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.1)
    app.may.clear()
    with connected(app) as caller:
        ask(caller, "/1")
        caller.sendall(b"PUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1")
        app.may.set()
        answer(caller, "x")
        time.sleep(0.3)
        caller.sendall(b"2")
        answer(caller, "xx")


def test_a_refusal_is_no_answer_to_the_request_before(app: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    app.may.clear()
    with connected(app) as caller:
        ask(caller, "/1")
        caller.sendall(b"GET /2 HTTP/1.1\r\n")
        with suppress(ConnectionError):
            assert caller.recv(SMALL) == b""
        app.may.set()
