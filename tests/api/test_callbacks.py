"""The address that the gateway posts to: who may, what it takes, and what it says of itself."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import httpx
import pytest
import structlog
from prometheus_client import REGISTRY

from otp_service.api.callbacks import MOST_BYTES
from otp_service.errors import Unavailable
from tests.api.support import problem
from tests.support.receipts import BY_SMS, receipt_of
from tests.support.service import Service, new_number, serving
from tests.support.vendor import SENDER, Vendor

TOKEN = "a-callback-token-of-tests"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GARBAGE = {
    "nothing": b"",
    "no form": b"\x00\xff\xfe<xml/>",
    "JSON": b'{"TYPE": "SMS"}',
    "no type": b"FROM=1&TO=2&TEXT=STOP",
    "another type": b"TYPE=WEATHER&FROM=1&TO=2&TEXT=STOP",
    "no id": b"TYPE=SMS&STATUS=DELIVRD",
    "no status": b"TYPE=SMS&MESSANGI_ID=-1",
    "an id that is no text": b"TYPE=SMS&STATUS=DELIVRD&MESSANGI_ID=%ff%fe",
    "an endless id": b"TYPE=SMS&STATUS=DELIVRD&MESSANGI_ID=" + b"1" * 60_000,
    "two types": b"TYPE=SMS&TYPE=MO_MESSAGE&MESSANGI_ID=-1&STATUS=DELIVRD",
    "thousands of fields": b"&".join(b"a%d=1" % number for number in range(5000)),
    "no text": b"TYPE=MO_MESSAGE&FROM=573001234567&TO=1&TEXT=",
}


@pytest.fixture
async def called(migrated: str, vendor: Vendor) -> AsyncIterator[Service]:
    """A service that the gateway may call back."""
    async with serving(migrated, vendor, BY_SMS, ogangi_callback_token=TOKEN) as service:
        yield service


async def call(service: Service, body: bytes, token: str = TOKEN) -> httpx.Response:
    """A callback."""
    return await service.http.post(f"/gateway/ogangi/{token}", content=body, headers=FORM)


def unreadable() -> float:
    return REGISTRY.get_sample_value("otp_callbacks_total", {"content": "unreadable"}) or 0.0


async def test_a_status_notice_shows_on_its_verification(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, BY_SMS, ogangi_callback_token=TOKEN) as service:
        started = await service.api.start()
        receipt_of(vendor, started["to"], "DELIVERED_TO_DEVICE")
        answer = await call(service, urlencode(vendor.notices()[0]).encode())
        assert (answer.status_code, answer.text) == (200, "ok")
        assert (await service.api.read(started["id"]))["delivery"]["status"] == "delivered"


async def test_a_text_from_a_person_is_heard(called: Service) -> None:
    to = new_number()
    fields = {"TYPE": "MO_MESSAGE", "FROM": to.removeprefix("+"), "TO": SENDER, "TEXT": "STOP", "ENCODING": "UTF-8"}
    answer = await call(called, urlencode(fields).encode())
    assert (answer.status_code, answer.text) == (200, "ok")
    refused = await called.api.call("POST", "/v1/notifications", {"to": to, "text": "Your parcel is here"})
    problem(refused, 403, "opted_out")


@pytest.mark.parametrize("token", [TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "%20", "%ff", "none", "x" * 5000])
async def test_another_token_is_an_unknown_path(called: Service, token: str) -> None:
    unknown = await called.http.post("/gateway/nobody/knows", content=b"", headers=FORM)
    answer = await call(called, b"TYPE=SMS&MESSANGI_ID=-1&STATUS=DELIVRD", token)
    assert answer.json() == unknown.json()
    problem(answer, 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
async def test_another_method_tells_nothing_of_the_address(called: Service, method: str) -> None:
    for token in (TOKEN, "none"):
        problem(await called.http.request(method, f"/gateway/ogangi/{token}"), 404, "not_found")


@pytest.mark.parametrize("token", ["None", "none", TOKEN])
async def test_without_a_token_there_is_no_such_address(migrated: str, vendor: Vendor, token: str) -> None:
    async with serving(migrated, vendor) as service:
        problem(await call(service, b"TYPE=SMS", token), 404, "not_found")


async def test_whatever_it_says_it_is_taken(called: Service) -> None:
    for name, body in GARBAGE.items():
        before = unreadable()
        answer = await call(called, body)
        assert (answer.status_code, answer.text) == (200, "ok"), name
        assert unreadable() == before + 1, name


async def test_of_random_bytes_none_break_it(called: Service) -> None:
    for _ in range(50):
        assert (await call(called, b"TYPE=SMS&" + secrets.token_bytes(200))).status_code == 200


async def test_a_body_of_64_kib_is_read_and_a_larger_one_is_not(called: Service) -> None:
    assert (await call(called, b"a" * MOST_BYTES)).status_code == 200
    problem(await call(called, b"a" * (MOST_BYTES + 1)), 413, "too_large")


async def test_only_a_database_that_is_away_makes_the_gateway_try_again(
    called: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(called.ctx.database, "read", away)
    problem(await call(called, b"TYPE=SMS&MESSANGI_ID=-1&STATUS=DELIVRD"), 503, "unavailable")


async def test_neither_the_token_nor_what_is_said_is_logged_or_counted(called: Service) -> None:
    started = await called.api.start()
    receipt = receipt_of(called.vendor, started["to"], "DELIVERED_TO_DEVICE")
    body = urlencode(called.vendor.notices()[0]).encode()
    with structlog.testing.capture_logs() as lines:
        await call(called, body)
        await call(called, body, f"{TOKEN}-of-somebody")
    said = str(lines) + (await called.http.get("/metrics")).text
    assert "/gateway/ogangi/{callback_token}" in said
    for secret in (TOKEN, receipt.message_id, started["to"].removeprefix("+"), called.pin(started["to"])):
        assert secret not in said


async def test_it_is_not_in_the_document_for_applications(called: Service) -> None:
    assert "gateway/" not in (await called.http.get("/openapi.json")).text
