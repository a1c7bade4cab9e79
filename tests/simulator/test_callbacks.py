"""Callbacks, from one real port to another."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otp_service.simulator import callbacks, create_simulator
from otp_service.simulator.callbacks import BadAddressError
from otp_service.simulator.store import Store
from tests.simulator.conftest import base64, signed
from tests.support.servers import Bare, bare_server, free_port, running
from tests.support.vendor import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY, Vendor, running_vendor

NUMBER = "+573001234567"
TOKEN = "/gateway/ogangi/sample-token"


@pytest.fixture
def got() -> list[dict[str, str]]:
    """The fields of every callback, in the order in which they came."""
    return []


@pytest.fixture
def customer(got: list[dict[str, str]]) -> Iterator[str]:
    """The callback address of somebody who takes callbacks."""

    async def take(request: Request) -> Response:
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        got.append(dict(parse_qsl((await request.body()).decode("ascii"), keep_blank_values=True)))
        return Response()

    with running(Starlette(routes=[Route(TOKEN, take, methods=["POST"])])) as url:
        yield url + TOKEN


def send(vendor: Vendor, text: str = "Hello") -> None:
    parameters = signed(f"43/12345/null/{NUMBER[1:]}/{base64(text)}")
    vendor.http.get(f"/mmc/rest/api/sendMT/{parameters}").raise_for_status()


async def test_texts_and_statuses_are_posted_in_order(vendor: Vendor, customer: str, got: list[dict[str, str]]) -> None:
    vendor.call_back(customer)
    send(vendor, "Ñ & = %")
    vendor.mo(NUMBER, "STOP ☎ + & =")
    vendor.set_status(NUMBER, "BAD ADDRESS", times=2)
    vendor.mos([(NUMBER, f"text {at}") for at in range(50)])
    assert await vendor.called_back(53) == {"sent": 53, "failed": 0, "waiting": 0}
    told = [fields.get("STATUS") or fields["TEXT"] for fields in got]
    assert told == ["STOP ☎ + & =", "BAD ADDRESS", "BAD ADDRESS", *(f"text {at}" for at in range(50))]
    assert (got[1]["MESSAGE_BODY"], got[1]["CLIENT_ID"], got[1]["TYPE"]) == ("Ñ & = %", "", "SMS")


async def test_a_fired_message_is_called_back(vendor: Vendor, customer: str, got: list[dict[str, str]]) -> None:
    vendor.call_back(customer)
    parameters = signed(f"43/{NUMBER[1:]}/{base64('STOP')}")
    vendor.http.get(f"/mmc/rest/api/fireMessage/{parameters}").raise_for_status()
    await vendor.called_back(1)
    assert got == [{"FROM": NUMBER[1:], "TO": "", "TEXT": "STOP", "ENCODING": "UTF-8", "TYPE": "MO_MESSAGE"}]


async def test_a_message_is_delivered_by_itself(customer: str, got: list[dict[str, str]]) -> None:
    simulator = create_simulator(INSTANCE_ID, PUBLIC_KEY, PRIVATE_KEY, deliver_after=0.05, callback_url=customer)
    with running_vendor(simulator) as vendor:
        send(vendor, "Hello")
        await vendor.called_back(1)
    assert [(fields["MESSAGE_BODY"], fields["STATUS"]) for fields in got] == [("Hello", "DELIVERED_TO_DEVICE")]


async def test_a_message_that_has_another_status_keeps_it() -> None:
    told: list[dict[str, str]] = []
    store = Store(time.time, told.append, kept=1, deliver_after=0)
    message = store.deliver("sendMT", "1305", "Hello", sender="12345", carrier="null")
    store.set_status(message, "UNDELIVERED")
    await asyncio.sleep(0.01)
    assert [fields["STATUS"] for fields in told] == ["UNDELIVERED"]


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[Bare]:
    """A customer who answers so, or never."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()

    async with bare_server(speak) as bare:
        yield bare


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 500 Oh\r\n\r\n", b"", b"no HTTP", b"x" * 100_000, None],
    ids=["404", "500", "nothing", "words", "no-line", "silence"],
)
async def test_what_is_not_taken_is_dropped_and_counted(
    vendor: Vendor, answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "_SECONDS", 0.3)
    async with answering(answer) as bare:
        vendor.call_back(f"{bare.base_url}{TOKEN}")
        vendor.mos([(NUMBER, "one"), (NUMBER, "two")])
        assert (await vendor.called_back(2))["sent"] == 0
    assert len(bare.heads) == 2


async def test_what_nobody_takes_does_not_pile_up(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "_WAITING", 2)
    async with answering(None) as silent:
        vendor.call_back(silent.base_url)
        vendor.mos([(NUMBER, f"text {at}") for at in range(10)])
        assert (await vendor.called_back(8))["failed"] == 8


async def test_where_nobody_listens_the_calls_of_the_protocol_are_answered_at_once(vendor: Vendor) -> None:
    vendor.call_back(f"http://localhost:{free_port()}")
    send(vendor)
    vendor.set_status(NUMBER, "DELIVRD")
    assert (await vendor.called_back(1))["failed"] == 1


async def test_without_an_address_nothing_is_posted_and_what_waits_is_dropped(
    vendor: Vendor, customer: str, got: list[dict[str, str]]
) -> None:
    async with answering(None) as silent:
        vendor.call_back(silent.base_url)
        vendor.mos([(NUMBER, f"text {at}") for at in range(10)])
        vendor.call_back(None)
    vendor.mo(NUMBER, "never told")
    vendor.call_back(customer)
    vendor.mo(NUMBER, "told")
    assert (await vendor.called_back(1))["failed"] == 0
    assert len(silent.heads) <= 1
    assert [fields["TEXT"] for fields in got] == ["told"]


def test_recovering_ends_the_callbacks_and_the_blacklist_and_leaves_the_texts(vendor: Vendor, customer: str) -> None:
    vendor.call_back(customer)
    vendor.blacklist(NUMBER)
    vendor.mo(NUMBER, "Hello", callback=False)
    vendor.recover()
    vendor.mo(NUMBER, "never told")
    assert vendor.http.get("/callback").json() == {"sent": 0, "failed": 0, "waiting": 0}
    blocked = vendor.http.get(f"/mmc/rest/api/isUserInBlackList/{signed(f'43/{NUMBER[1:]}/-1')}")
    assert "<text>false</text>" in blocked.text
    listed = vendor.http.get(f"/mmc/rest/api/tools/getMOMessages/{signed('43/1/9/null')}")
    assert "<records>2</records>" in listed.text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://example.com:80/",
        "https://127.0.0.1:8000/",
        "http://127.0.0.1.example.com:80/",
        "http://127.0.0.1:80@example.com/",
        "http://127.0.0.1:8000/a b",
        "http://127.0.0.1:8000/\r\nX: y",
        "http://127.0.0.1:65536/",
        "http://10.0.0.1:8000/",
        1,
    ],
)
def test_an_address_elsewhere_is_refused(vendor: Vendor, url: object) -> None:
    assert vendor.http.post("/callback", json={"url": url}).status_code == 422
    with pytest.raises(BadAddressError):
        callbacks.Callbacks(None).call(url)
