"""The wire below HTTP: sockets that reset, hang, drip, lie and redirect, and what leaks of it."""

import asyncio
import gzip
import logging
import ssl
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.gateways.ogangi.client import OgangiGateway
from tests.gateways.ogangi.conftest import GatewayTo
from tests.gateways.ogangi.vectors import CARRIER, NUMBER, PRIVATE_KEY, PUBLIC_KEY, TEXT
from tests.gateways.ogangi.wire import answering, http
from tests.support.patience import PATIENCE
from tests.support.servers import Bare, bare_server, free_port
from tests.support.vendor import Vendor

MESSAGE = Message(f"+{NUMBER}", TEXT, CARRIER)
OK = b"<status>OK</status>"
NOT_CONNECTED = Sent(Outcome.REFUSED, "not_connected", passing=True)


async def until_closed(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_refused_connection_is_refused_for_sure(gateway_to: GatewayTo) -> None:
    sent = await gateway_to(f"http://127.0.0.1:{free_port()}").send_mt(MESSAGE, PATIENCE)
    assert sent == NOT_CONNECTED


async def test_a_name_that_does_not_resolve_is_refused_for_sure(gateway_to: GatewayTo) -> None:
    assert await gateway_to("http://gateway.invalid").send_mt(MESSAGE, PATIENCE) == NOT_CONNECTED


async def test_a_connection_that_is_never_ready_is_refused_by_the_deadline(gateway_to: GatewayTo) -> None:
    async with bare_server(until_closed) as bare:
        sent = await gateway_to(bare.base_url.replace("http:", "https:")).send_mt(MESSAGE, 0.5)
        assert sent == NOT_CONNECTED
        assert bare.heads == []


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n\r\n", http(OK, length=1000)])
async def test_a_connection_lost_after_the_request_left_is_unknown(gateway_to: GatewayTo, answer: bytes) -> None:
    async with answering(answer) as bare:
        assert await gateway_to(bare.base_url).send_mt(MESSAGE, PATIENCE) == Sent(Outcome.UNKNOWN, "connection_lost")
        assert len(bare.heads) == 1


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-Header: ", http(b"", length=10_000)])
async def test_a_drip_ends_by_the_total_deadline(gateway_to: GatewayTo, head: bytes) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

    async with bare_server(drip) as bare:
        sent = await gateway_to(bare.base_url).send_mt(MESSAGE, 1)
        assert (sent.outcome, len(bare.heads)) == (Outcome.UNKNOWN, 1)


async def test_a_hang_is_one_request_and_unknown(gateway_to: GatewayTo) -> None:
    async with bare_server(until_closed) as bare:
        assert await gateway_to(bare.base_url).send_mt(MESSAGE, 0.5) == Sent(Outcome.UNKNOWN, "timeout")
        assert len(bare.heads) == 1


REFUSALS = ["400 Bad", "401 No", "404 Not Found", "408 Late", "425 Early", "429 Wait", "499 x", "503 Busy"]


@pytest.mark.parametrize("status", REFUSALS)
async def test_4xx_and_503_are_refused_for_sure_before_their_body_ends(gateway_to: GatewayTo, status: str) -> None:
    passing = status[:3] in ("408", "425", "429", "503")
    async with answering(http(OK, status=status, length=1000)) as bare:
        sent = await gateway_to(bare.base_url).send_mt(MESSAGE, PATIENCE)
    assert sent == Sent(Outcome.REFUSED, f"http_{status[:3]}", passing=passing)


@pytest.mark.parametrize("status", ["201 Created", "204 None", "302 Found", "500 Oops", "502 Bad", "504 Late"])
async def test_any_other_status_is_unknown(gateway_to: GatewayTo, status: str) -> None:
    async with answering(http(b"", status=status)) as bare:
        assert await gateway_to(bare.base_url).send_mt(MESSAGE, PATIENCE) == Sent(Outcome.UNKNOWN, f"http_{status[:3]}")


async def test_a_redirect_is_not_followed(gateway_to: GatewayTo) -> None:
    async with answering(http(OK)) as second:
        redirect = http(b"", f"Location: {second.base_url}/", status="307 Temporary Redirect")
        async with answering(redirect) as first:
            assert await gateway_to(first.base_url).send_mt(MESSAGE, PATIENCE) == Sent(Outcome.UNKNOWN, "http_307")
        assert second.heads == []


RAW_DEFLATE = zlib.compress(OK, wbits=-15)
PACKED = gzip.compress(OK, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("identity", OK, "ok"),
        ("gzip", PACKED, "ok"),
        ("X-GZIP", PACKED, "ok"),
        ("deflate", zlib.compress(OK), "ok"),
        ("deflate", RAW_DEFLATE, "unreadable"),
        ("gzip", OK, "unreadable"),
        ("gzip", PACKED[:-3], "unreadable"),
        ("gzip", PACKED + PACKED, "unreadable"),
        ("gzip", gzip.compress(OK + b" " * 70_000, mtime=0), "unreadable"),
        ("gzip, gzip", gzip.compress(PACKED, mtime=0), "unreadable"),
        ("br", OK, "unreadable"),
    ],
)
async def test_a_body_is_unpacked_with_a_bound(gateway_to: GatewayTo, encoding: str, body: bytes, reason: str) -> None:
    async with answering(http(body, f"Content-Encoding: {encoding}")) as bare:
        assert (await gateway_to(bare.base_url).send_mt(MESSAGE, PATIENCE)).reason == reason


@pytest.mark.parametrize(("spaces", "reason"), [(64 * 1024 - len(OK), "ok"), (64 * 1024 - len(OK) + 1, "unreadable")])
async def test_a_body_is_read_up_to_64_kib(gateway_to: GatewayTo, spaces: int, reason: str) -> None:
    async with answering(http(OK + b" " * spaces)) as bare:
        assert (await gateway_to(bare.base_url).send_mt(MESSAGE, PATIENCE)).reason == reason


async def test_the_probe_leaves_its_filter_unencoded(gateway_to: GatewayTo) -> None:
    async with answering(http(OK)) as bare:
        assert (await gateway_to(bare.base_url).probe(PATIENCE)).ok
    assert bare.heads[0].startswith(f"GET /rest/api/tools/getMOMessages/43/1/1/order=desc/{PUBLIC_KEY}/")


@pytest.mark.parametrize(("more", "reason"), [(0, None), (1, "unreadable")])
async def test_a_list_is_read_up_to_1_mib(gateway_to: GatewayTo, more: int, reason: str | None) -> None:
    start = b"<status>OK</status><result/>"
    body = start + b" " * (1024 * 1024 - len(start) + more)
    for headers, sent in (((), body), (("Content-Encoding: gzip",), gzip.compress(body))):
        async with answering(http(sent, *headers)) as bare:
            went = await gateway_to(bare.base_url).inbound(1, 100, PATIENCE)
        assert getattr(went, "reason", None) == reason


async def test_compression_is_not_asked_for_and_cookies_are_not_kept(gateway_to: GatewayTo) -> None:
    async with answering(http(OK, "Set-Cookie: a=b; Path=/", "Connection: close")) as bare:
        gateway = gateway_to(bare.base_url)
        await gateway.send_mt(MESSAGE, PATIENCE)
        await gateway.send_mt(MESSAGE, PATIENCE)
    for head in bare.heads:
        assert "accept-encoding: identity" in head.lower()
        assert "cookie" not in head.lower()
    assert len(bare.heads) == 2


@asynccontextmanager
async def kept_open(first: bytes) -> AsyncIterator[Bare]:
    """A server that closes nothing: `first` goes to the first request, a PIN of its own to each later one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                answer = first if len(bare.heads) == 1 else http(pin_answer(f"33333{len(bare.heads)}"))
                writer.write(answer)
                bare.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("ascii"))

    async with bare_server(serve) as bare:
        yield bare


def pin_answer(pin: str) -> bytes:
    return f"{OK.decode()}<result><PinSMSConfirmation><pin>{pin}</pin></PinSMSConfirmation></result>".encode()


TWICE = http(pin_answer("111111")) * 2


@pytest.mark.parametrize("first", [TWICE, TWICE + b"\n", http(pin_answer("111111")) + b"\n", TWICE[:-1] + b"\0junk"])
async def test_what_follows_an_answer_is_never_the_answer_of_the_next_send(gateway_to: GatewayTo, first: bytes) -> None:
    async with kept_open(first) as bare:
        gateway = gateway_to(bare.base_url)
        sent = [await gateway.send_pin(MESSAGE, 6, PATIENCE) for _ in range(3)]
    assert [each.pin for each in sent] == ["111111", "333332", "333333"]
    assert all(each.outcome is Outcome.ACCEPTED for each in sent)


async def test_cookies_are_not_even_read(gateway_to: GatewayTo, recwarn: pytest.WarningsRecorder) -> None:
    # More digits than Python takes for a number: its parser of cookies prints the traceback, as a warning.
    year = "1" * 5000
    async with answering(http(OK, f"Set-Cookie: a=b; expires=1 Jan {year}")) as bare:
        assert (await gateway_to(bare.base_url).send_mt(MESSAGE, PATIENCE)).outcome is Outcome.ACCEPTED
    assert list(recwarn) == []


async def test_proxies_of_the_environment_are_not_used(gateway_to: GatewayTo, monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(http(OK)) as proxy, answering(http(OK)) as bare:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base_url)
        assert (await gateway_to(bare.base_url).send_mt(MESSAGE, PATIENCE)).outcome is Outcome.ACCEPTED
        assert proxy.heads == []


@pytest.fixture
def untrusted(tmp_path: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody has vouched for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = (
        builder.not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "server.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_certificate_that_nobody_vouches_for_is_not_connected(
    gateway_to: GatewayTo, untrusted: ssl.SSLContext
) -> None:
    async with bare_server(until_closed, tls=untrusted) as bare:
        assert await gateway_to(bare.base_url).send_mt(MESSAGE, PATIENCE) == NOT_CONNECTED
        assert bare.heads == []


def secrets_of(text: str) -> list[str]:
    """A text and its Base64 in both alphabets, at every alignment, without the ends that its neighbours change."""
    encoded = [encode(b"x" * at + text.encode())[4:-4] for at in range(3) for encode in (b64encode, urlsafe_b64encode)]
    return [text, text.encode().hex(), *(each.decode() for each in encoded)]


async def test_nothing_of_a_call_is_logged(
    vendor: Vendor, gateway: OgangiGateway, gateway_to: GatewayTo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpcore.connection", "httpcore.http11"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    message = Message(f"+{NUMBER}", "Your PIN is 48291377, keep it", CARRIER)
    for fault in ("slow", "refuse", "bad_signature", "reset_after", "html", "unknown", "malformed", "gzip_bomb"):
        vendor.fail("*", fault, seconds=0)
        await gateway.send_sms(message, PATIENCE)
    sent = await gateway.send_pin(message, 6, PATIENCE)
    await gateway_to(f"http://127.0.0.1:{free_port()}").send_sms(message, PATIENCE)
    assert sent.pin is not None
    for secret in (*secrets_of(message.text), *secrets_of(NUMBER), PRIVATE_KEY, sent.pin):
        assert secret not in caplog.text
        assert secret not in repr((message, sent, gateway))
