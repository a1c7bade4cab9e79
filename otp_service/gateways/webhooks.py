"""Posts webhooks to the receivers of clients, who choose the address: it must not lead into the operator's network.

The name is resolved here, every address is checked, and the connection goes to a checked address: a resolver that
changes its answer in between changes nothing.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from otp_service.gateways.public_addresses import Address, Network, is_in, is_public
from otp_service.gateways.transport import Answer, Request, Transport

TOTAL_SECONDS = 10.0
"""For the name, the connection and the status of the answer together."""
LONGEST_URL = 2000
_URL = re.compile(r"[!-~]+")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
_PORTS = {"https": 443, "http": 80}
_FIRST_FREE_PORT = 1024
_MOST_ADDRESSES = 4
_MOST_LOOKUPS = 64
"""At once; each has a thread, which may outlive the call that asked."""

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses of a host name; none if it has none."""


@dataclass(frozen=True)
class Posted:
    """What came of a post. `error`: None after a 2xx; `http_404`, or why there was no answer."""

    status_code: int | None
    error: str | None


@dataclass(frozen=True)
class _Target:
    """The parts of a URL: `host` without brackets, `authority` for the header `Host`, `path` with its query."""

    scheme: str
    host: str
    port: int
    authority: str = field(repr=False)
    path: str = field(repr=False)


class BadUrlError(ValueError):
    """A URL that no webhook can have; the text says why."""


class WebhookClient:
    """Posts to receivers. `networks`: where else than on the public internet they may be, and http:// is allowed."""

    def __init__(
        self, networks: tuple[Network, ...] = (), resolve: Resolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._networks = networks
        self._resolve = resolve or SystemResolver()
        self._transport = Transport(tls)

    async def check(self, url: str) -> None:
        """Raise BadUrlError unless the URL leads to where webhooks may go."""
        target = _parse(url)
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                found = await self._addresses(target)
        except TimeoutError:
            found = "unresolved"
        if found == "unresolved":
            raise BadUrlError("Its host name must have an address.")
        if isinstance(found, str):
            raise BadUrlError("Must be https:// and lead to a public address.")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        """Post JSON within ten seconds. Nothing is read of the answer but its head; no redirect is followed."""
        try:
            target = _parse(url)
        except BadUrlError:
            return Posted(None, "forbidden_address")
        try:
            async with asyncio.timeout(TOTAL_SECONDS) as limit:
                found = await self._addresses(target)
                if isinstance(found, str):
                    return Posted(None, found)
                return await self._post_to_first(target, found, body, headers, limit)
        except TimeoutError:
            return Posted(None, "timeout")

    async def _addresses(self, target: _Target) -> list[Address] | str:
        """Return the addresses of a host, all of which webhooks may go to, or why it has none."""
        try:
            addresses: list[Address] = [ipaddress.ip_address(target.host)]
        except ValueError:
            addresses = [ipaddress.ip_address(each) for each in await self._resolve(target.host)]
        if not addresses:
            return "unresolved"
        may_be_public = target.scheme == "https"
        if all(is_in(each, self._networks) or (may_be_public and is_public(each)) for each in addresses):
            return addresses[:_MOST_ADDRESSES]
        return "forbidden_address"

    async def _post_to_first(
        self, target: _Target, addresses: list[Address], body: bytes, headers: Mapping[str, str], limit: asyncio.Timeout
    ) -> Posted:
        """Post to the first address that takes a connection."""
        posted = Posted(None, "not_connected")
        for address in addresses:
            host = f"[{address}]" if address.version == 6 else str(address)
            request = Request(
                f"{target.scheme}://{host}:{target.port}{target.path}",
                body=body,
                limit=0,
                headers={**headers, "Host": target.authority, "Accept": "*/*"},
                server_name=target.host.rstrip("."),
            )
            left = (limit.when() or 0.0) - asyncio.get_running_loop().time()
            answer = await self._transport.exchange(request, left)
            if isinstance(answer, Answer):
                ok = 200 <= answer.status < 300
                return Posted(answer.status, None if ok else f"http_{answer.status}")
            posted = Posted(None, answer.reason)
            if answer.was_sent:
                break
        return posted

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def _parse(url: str) -> _Target:
    """Return the parts of a URL. Raises BadUrlError unless it is unambiguous and has an allowed port."""
    if not _URL.fullmatch(url) or "\\" in url or len(url) > LONGEST_URL:
        raise BadUrlError(f"Must be at most {LONGEST_URL} printable ASCII characters without spaces and \\.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadUrlError("Must have a valid host and port.") from None
    if parts.scheme not in _PORTS:
        raise BadUrlError("Must begin with https://.")
    if "@" in parts.netloc or "#" in url:
        raise BadUrlError("Must have no user, password or fragment.")
    if not _is_host(host, parts.netloc):
        raise BadUrlError("Must have a valid host and port.")
    usual = _PORTS[parts.scheme]
    port = usual if port is None else port
    if port != usual and port < _FIRST_FREE_PORT:
        raise BadUrlError(f"Must have port {usual}, or one of {_FIRST_FREE_PORT} to 65535.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(parts.scheme, host, port, parts.netloc, path)


def _is_host(host: str, netloc: str) -> bool:
    if "[" not in netloc:
        return _HOST.fullmatch(host) is not None
    # Some versions of urlsplit ignore what stands before and after the brackets.
    if not _BRACKETED.fullmatch(netloc):
        return False
    with suppress(ValueError):
        return ipaddress.ip_address(host).version == 6
    return False


class SystemResolver:
    """Asks the system, in a thread for each name, so that a name whose servers are slow delays no other."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_MOST_LOOKUPS)
        self._running: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def __call__(self, host: str) -> Sequence[str]:
        """Return the addresses of a host name."""
        if host not in self._running:
            await self._places.acquire()
            if host in self._running:  # meanwhile another call began
                self._places.release()
            else:
                self._running[host] = self._start(host)
        return await asyncio.shield(self._running[host])

    def _start(self, host: str) -> asyncio.Future[Sequence[str]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[str]] = loop.create_future()

        def settle(found: Sequence[str]) -> None:
            self._running.pop(host, None)
            self._places.release()
            if not future.done():
                future.set_result(found)

        def run() -> None:
            found = _look_up(host)
            with suppress(RuntimeError):  # a closed loop has no callers
                loop.call_soon_threadsafe(settle, found)

        # It cannot be interrupted, so that the end of the process must not wait for it.
        threading.Thread(target=run, name="resolve", daemon=True).start()
        return future


def _look_up(host: str) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
