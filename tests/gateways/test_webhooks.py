"""Where webhooks may go: connections go to the address that was checked, whatever a resolver says later."""

import asyncio
import ssl
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from otp_service.config.addresses import parse_networks
from otp_service.gateways import webhooks
from otp_service.gateways.public_addresses import is_public
from otp_service.gateways.webhooks import BadUrlError, Posted, WebhookClient
from tests.gateways.ogangi.wire import answering, http
from tests.support.servers import bare_server, free_port

LOOPBACK = parse_networks("127.0.0.0/8,::1")
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    *("0.0.0.1", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::1"),
    *("2002:808:808::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "4000::1"),
]


def always(*addresses: str) -> "Names":
    return Names([addresses])


class Names:
    """A resolver that gives one answer after the other, then the last one again."""

    def __init__(self, answers: Sequence[Sequence[str]]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_an_address_that_is_not_public_is_never_connected_to(address: str) -> None:
    assert not is_public(ip_address(address))
    for names in (always(address), always("8.8.8.8", address), always(address, "8.8.8.8")):
        client = WebhookClient(resolve=names)
        with pytest.raises(BadUrlError):
            await client.check("https://hooks.example/")
        assert await client.post("https://hooks.example/", b"{}", {}) == Posted(None, "forbidden_address")
        await client.aclose()


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks", "//hooks.example/", "https://", "https:///x", "ftp://hooks.example/", "file:///etc/passwd"),
        *("gopher://hooks.example/", "javascript:alert(1)", "http://hooks.example/", "HTTP://hooks.example/"),
        *("https://user@hooks.example/", "https://user:password@hooks.example/", "https://@hooks.example/"),
        *("https://hooks.example:22/", "https://hooks.example:80/", "https://hooks.example:0/"),
        *("https://hooks.example:1023/", "https://hooks.example:65536/", "https://hooks.example:x/"),
        *("https://hooks.example#@127.0.0.1/", "https://hooks.example/#x", "https://hooks.example\\@127.0.0.1/"),
        *(
            "https://hooks.example/a b",
            "https://hooks.example/\n",
            "https://hooks.example/\t",
            "https://hööks.example/",
        ),
        *("https://①②⑦.⓪.⓪.①/", "https://hooks.example%00.example/", "https://hooks.example%2f@x/"),
        *("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/"),
        *("https://[::1", "https://[127.0.0.1]/", "https://[v1.x]/", "https://169.254.169.254/latest/meta-data"),
        *("https://10.0.0.1/", "https://192.168.0.1:8443/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/"),
        *("https://x[2606:4700::1111]/", "https://[2606:4700::1111]x/", "https://[2606:4700::1111]x:443/"),
        *(
            "https://[2606:4700::1111][2606:4700::1111]/",
            "https://[[2606:4700::1111]]/",
            "https://[2606:4700::1111]:x/",
        ),
        "https://hooks.example/" + "x" * 2000,
    ],
)
async def test_an_evil_url_is_refused_and_never_resolved_into_a_connection(url: str) -> None:
    client = WebhookClient(resolve=always("8.8.8.8"))
    with pytest.raises(BadUrlError):
        await client.check(url)
    assert await client.post(url, b"{}", {}) == Posted(None, "forbidden_address")
    await client.aclose()


@pytest.mark.parametrize("url", ["https://[2606:4700::1111]/", "https://[2606:4700::ABCD]:8443/x?y"])
async def test_a_public_address_in_brackets_is_allowed(url: str) -> None:
    client = WebhookClient(resolve=always())
    await client.check(url)
    await client.aclose()


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "localhost."])
async def test_every_spelling_of_loopback_is_refused_with_the_resolver_of_the_system(host: str) -> None:
    client = WebhookClient()
    with pytest.raises(BadUrlError):
        await client.check(f"https://{host}/")
    assert (await client.post(f"https://{host}/", b"{}", {})).error in ("forbidden_address", "unresolved")
    await client.aclose()


async def test_the_system_is_asked_for_at_most_64_names_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, released = list[str](), threading.Event()

    def look_up(host: str) -> Sequence[str]:
        asked.append(host)
        released.wait(60)
        return [host]

    monkeypatch.setattr(webhooks, "_look_up", look_up)
    resolve, names = webhooks.SystemResolver(), [f"{number}.example" for number in range(100)]
    calls = [asyncio.create_task(resolve(name)) for name in (*names, *names)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    at_once = threading.active_count()
    released.set()
    assert await asyncio.gather(*calls) == [[name] for name in (*names, *names)]
    assert 64 <= at_once < 100
    assert sorted(set(asked)) == sorted(names)


async def test_a_name_that_leads_elsewhere_at_the_next_try_is_checked_again() -> None:
    async with answering(http(b"")) as bare:
        port = bare.base_url.rpartition(":")[2]
        names = Names([["8.8.8.8"], ["127.0.0.1"]])
        client = WebhookClient(resolve=names)
        await client.check(f"https://hooks.example:{port}/")
        assert await client.post(f"https://hooks.example:{port}/", b"{}", {}) == Posted(None, "forbidden_address")
        assert bare.heads == []
        await client.aclose()


async def test_the_connection_goes_to_the_address_that_was_checked_and_resolves_nothing_again() -> None:
    """The second answer of the resolver would be another address: nobody asks for it."""
    async with answering(http(b"")) as bare:
        port = bare.base_url.rpartition(":")[2]
        names = Names([["127.0.0.1"], ["127.0.0.2"]])
        client = WebhookClient(LOOPBACK, names)
        posted = await client.post(f"http://hooks.example:{port}/a?b=c", b"{}", {"webhook-id": "x"})
        assert posted == Posted(200, None)
        assert names.asked == ["hooks.example"]
        (head,) = bare.heads
        assert head.startswith("POST /a?b=c HTTP/1.1\r\n")
        assert f"host: hooks.example:{port}\r\n" in head.lower()
        await client.aclose()


async def test_plain_http_goes_to_the_named_networks_alone() -> None:
    client = WebhookClient(parse_networks("10.0.0.0/8"), always("8.8.8.8"))
    with pytest.raises(BadUrlError):
        await client.check("http://hooks.example/")
    await client.check("https://hooks.example/")
    await client.aclose()
    client = WebhookClient(parse_networks("10.0.0.0/8"), always("10.1.2.3"))
    await client.check("http://hooks.example/")
    await client.check("https://hooks.example/")
    await client.aclose()


async def test_the_next_address_is_used_if_one_takes_no_connection() -> None:
    async with answering(http(b"")) as bare:
        port = bare.base_url.rpartition(":")[2]
        client = WebhookClient(LOOPBACK, always("127.0.0.9", "127.0.0.1"))
        assert await client.post(f"http://hooks.example:{port}/", b"{}", {}) == Posted(200, None)
        await client.aclose()


async def test_no_redirect_is_followed() -> None:
    async with answering(http(b"")) as other:
        moved = http(b"", f"Location: {other.base_url}/", status="307 Temporary Redirect")
        async with answering(moved) as bare:
            client = WebhookClient(LOOPBACK)
            assert await client.post(f"{bare.base_url}/", b"{}", {}) == Posted(307, "http_307")
            assert other.heads == []
            await client.aclose()


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(http(b"")) as proxy, answering(http(b"")) as bare:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.base_url)
        client = WebhookClient(LOOPBACK)
        assert await client.post(f"{bare.base_url}/", b"{}", {}) == Posted(200, None)
        assert proxy.heads == []
        await client.aclose()


async def test_a_post_ends_by_its_total_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def never(_: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(webhooks, "TOTAL_SECONDS", 0.3)
    async with bare_server(hang) as bare:
        client = WebhookClient(LOOPBACK)
        assert await client.post(f"{bare.base_url}/", b"x" * 100, {}) == Posted(None, "timeout")
        await client.aclose()
    client = WebhookClient(LOOPBACK, never)
    assert await client.post("https://hooks.example/", b"{}", {}) == Posted(None, "timeout")
    await client.aclose()


async def test_the_body_of_the_answer_is_not_waited_for() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000)
        await writer.drain()
        await reader.read()
        await reader.read()

    async with bare_server(endless) as bare:
        client = WebhookClient(LOOPBACK)
        assert await client.post(f"{bare.base_url}/", b"{}", {}) == Posted(200, None)
        await client.aclose()


async def test_nobody_there_and_no_such_name() -> None:
    client = WebhookClient(LOOPBACK)
    assert await client.post(f"http://127.0.0.1:{free_port()}/", b"{}", {}) == Posted(None, "not_connected")
    assert await client.post("https://hooks.invalid/", b"{}", {}) == Posted(None, "unresolved")
    with pytest.raises(BadUrlError):
        await client.check("https://hooks.invalid/")
    await client.aclose()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of hooks.example with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "server.pem"
    file.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return file


async def test_the_certificate_must_be_of_the_name_not_of_the_address(certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    names: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: names.append(name)

    async def ok(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http(b""))
        await writer.drain()

    async with bare_server(ok, tls=server) as bare:
        port = bare.base_url.rpartition(":")[2]
        trusting = ssl.create_default_context(cafile=str(certificate))
        client = WebhookClient(LOOPBACK, always("127.0.0.1"), trusting)
        assert await client.post(f"https://hooks.example:{port}/", b"{}", {}) == Posted(200, None)
        assert await client.post(f"https://other.example:{port}/", b"{}", {}) == Posted(None, "not_connected")
        assert await client.post(f"https://127.0.0.1:{port}/", b"{}", {}) == Posted(None, "not_connected")
        assert names[:2] == ["hooks.example", "other.example"]
        assert len(bare.heads) == 1
        await client.aclose()
