"""Half-sent requests, endless heads and bodies, crowds: cut off in seconds, and nobody else waits for them."""

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients import clients
from tests.support.patience import PATIENCE
from tests.support.processes import Running, service_settings, serving, together
from tests.support.vendor import Vendor

AT_ONCE = 50
"""Few enough that a busy server takes all of them before it cuts off the first one."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> str:
    path = tmp_path_factory.mktemp("connections") / "otp.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def server(database: str, shared_vendor: Vendor) -> Iterator[Running]:
    with serving(service_settings(database, shared_vendor)) as running:
        yield running


@pytest.fixture(scope="module")
def api_key(database: str) -> str:
    opened = Database(database)
    try:
        return asyncio.run(clients.create(opened, Clock(), "trailers")).api_key
    finally:
        opened.close()


def connect(server: Running) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    made = socket.create_connection((address.hostname, address.port), timeout=PATIENCE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def answer(caller: socket.socket) -> bytes:
    """Everything until the server closes."""
    got = b""
    with suppress(ConnectionResetError):
        while chunk := caller.recv(65536):
            got += chunk
    return got


def half_sent(server: Running) -> None:
    with ExitStack() as stack:
        callers = [stack.enter_context(connect(server)) for _ in range(AT_ONCE)]
        for index, caller in enumerate(callers):
            caller.sendall(b"POST /v1/verifications HTTP/1.1\r\nHost: x\r\n" + b"X-Y: z\r\n" * (index % 3))
        assert httpx.get(f"{server.url}/livez", timeout=PATIENCE).status_code == 200
        assert not any(select.select([caller], [], [], 0)[0] for caller in callers), "all of them were still open"
        assert all(answer(caller).startswith(b"HTTP/1.1 408 ") for caller in callers)


def dripping(server: Running) -> None:
    with connect(server) as caller, suppress(BrokenPipeError):
        caller.sendall(b"GET /livez HTTP/1.1\r\n")
        while not select.select([caller], [], [], 0.5)[0]:
            caller.sendall(b"X: y\r\n")
        assert answer(caller).startswith(b"HTTP/1.1 408 ")


def endless(server: Running) -> None:
    with connect(server) as caller:
        head = b"POST /v1/verifications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        caller.sendall(head + b"Content-Length: 9\r\n\r\n{")
        answer(caller)


@pytest.mark.long
def test_who_sends_half_a_request_is_cut_off_and_slows_nobody_down(server: Running) -> None:
    together(*(partial(each, server) for each in (half_sent, dripping, endless)))


@pytest.mark.parametrize("head", [b"X-%d: y\r\n", b"X-%d: " + b"y" * 900 + b"\r\n"], ids=["many", "long"])
def test_ten_thousand_headers_are_refused_at_once(server: Running, head: bytes) -> None:
    with connect(server) as caller:
        with suppress(ConnectionResetError, BrokenPipeError):
            caller.sendall(b"GET /livez HTTP/1.1\r\n" + b"".join(head % n for n in range(10_000)))
        assert answer(caller)[:13] in (b"HTTP/1.1 431 ", b"")


def test_a_head_within_the_bound_is_served(server: Running) -> None:
    answered = httpx.get(f"{server.url}/livez", headers={f"X-{n}": "y" * 100 for n in range(100)})
    assert answered.status_code == 200


def test_a_body_of_300_mb_is_refused_and_not_read(server: Running) -> None:
    with connect(server) as caller:
        caller.sendall(
            b"POST /v1/verifications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer otp_x\r\nContent-Length: 314572800\r\n\r\n"
        )
        sent = 0
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < 314_572_800:
                sent += caller.send(b"x" * 65536)
        assert sent < 64 * 1024 * 1024


def test_an_api_key_in_the_trailers_of_a_body_authenticates_nobody(server: Running, api_key: str) -> None:
    key = f"Authorization: Bearer {api_key}\r\n"

    def status(head: str, trailers: str) -> int:
        with connect(server) as caller:
            request = (
                "POST /v1/opt-outs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                f"{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n{trailers}\r\n"
            )
            caller.sendall(request.encode())
            return int(answer(caller).split()[1])

    assert status(key, "") == 422
    assert status("", key) == 401


@pytest.mark.long
def test_several_requests_go_through_one_connection(server: Running) -> None:
    with httpx.Client(base_url=server.url) as client:
        assert [client.get("/livez").status_code for _ in range(3)] == [200, 200, 200]
        assert client.post("/v1/verifications", content=b"x" * 20_000).status_code == 401
        assert client.get("/livez").status_code == 200
