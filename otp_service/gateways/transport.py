"""One HTTP exchange with a vendor or a receiver, bounded in time and size; it knows whether the request was sent."""

import asyncio
import logging
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar
from typing import Any

import httpx

# A URL of the vendor holds the number, the text and sometimes our PIN, one of a webhook may hold a password. Both
# libraries log URLs (httpx at INFO, httpcore at DEBUG); no level at the root may turn that on again.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)
    logging.getLogger(_name).propagate = False

_GZIP_OR_ZLIB = 47
_JSON = {"Content-Type": "application/json"}

# No connection is used twice. What a vendor writes beyond its answer would be read as the answer of the next send:
# somebody's PIN would approve somebody else's number. And if a connection is closed while a request is sent on it, the
# outcome of that request is unknown.
# There are more of them than starts in flight: a call that waited for one would look like a dead gateway.
_LIMITS = httpx.Limits(max_connections=2000, max_keepalive_connections=0)


@cache
def _usual_roots() -> ssl.SSLContext:
    """Return the context of every client without its own: loading the roots of trust takes 30 ms."""
    return httpx.create_ssl_context(trust_env=False)


class _NoCookies(CookieJar):
    """Reads no cookies: thousands in one answer would block all calls, and the parser prints its tracebacks."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Extract no cookies."""


@dataclass(frozen=True, slots=True)
class Request:
    """A GET, or with a `body` a POST of that JSON. `limit`: bytes of the answer's body that are read.

    `server_name`: the name that the certificate must have, if the URL holds an address instead.
    """

    url: str = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    limit: int = 64 * 1024
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `body`: of a 200, decompressed; None if it is too large or cannot be decompressed."""

    status: int
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No HTTP answer. `was_sent`: at least a part of the request, so the vendor may have acted on it."""

    was_sent: bool
    reason: str


class Transport:
    """Connections over HTTP. `tls`: other roots of trust than the usual ones."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._client = httpx.AsyncClient(
            verify=tls or _usual_roots(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None),  # it counts per read; `exchange` bounds the whole exchange
            limits=_LIMITS,
            headers={"Accept-Encoding": "identity", "Accept": "application/xml", "User-Agent": "otp-service"},
            cookies=_NoCookies(),
        )

    async def exchange(self, request: Request, timeout: float) -> Answer | NoAnswer:
        """Make one request within `timeout` seconds, connect and body included. Raises nothing but CancelledError."""
        progress = _Progress()
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(request, progress)
        except TimeoutError:
            reason = "timeout"
        except Exception:  # noqa: BLE001 - once it was sent, whatever went wrong, the outcome is unknown
            reason = "connection_lost"
        finally:
            await progress.close_half_open()
        return NoAnswer(progress.was_sent, reason if progress.was_sent else "not_connected")

    async def _exchange(self, request: Request, progress: "_Progress") -> Answer:
        name = {} if request.server_name is None else {"sni_hostname": request.server_name}
        async with self._client.stream(
            "GET" if request.body is None else "POST",
            request.url,
            content=request.body,
            headers={**request.headers, **({} if request.body is None else _JSON)},
            extensions={"trace": progress.trace, **name},
        ) as response:
            if response.status_code != httpx.codes.OK or not request.limit:
                return Answer(response.status_code, None)
            raw = await _bounded(response.aiter_raw(), request.limit)
            encoding = response.headers.get("Content-Encoding", "")
            return Answer(response.status_code, _decoded(raw, encoding, request.limit))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class _Progress:
    """The progress of a request, from httpcore's `trace` extension."""

    def __init__(self) -> None:
        self.was_sent = False
        self._half_open: Any = None

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._half_open = info["return_value"]
        elif event in ("connection.start_tls.complete", "http11.send_request_headers.started"):
            self._half_open = None
            self.was_sent = self.was_sent or event == "http11.send_request_headers.started"

    async def close_half_open(self) -> None:
        """Close the connection if it was not finished: httpcore forgets it when its TLS handshake is cancelled."""
        if self._half_open is not None:
            await self._half_open.aclose()


async def _bounded(chunks: AsyncIterator[bytes], limit: int) -> bytes | None:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _decoded(raw: bytes | None, encoding: str, limit: int) -> bytes | None:
    """Return the decompressed body. httpx would decompress without a bound; we asked for no compression."""
    encoding = encoding.strip().lower()
    if raw is None or encoding in ("", "identity"):
        return raw
    return _decompressed(raw, limit) if encoding in ("gzip", "x-gzip", "deflate") else None


def _decompressed(raw: bytes, limit: int) -> bytes | None:
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        body = unpacker.decompress(raw, limit + 1)
    except zlib.error:
        return None
    whole = unpacker.eof and not unpacker.unused_data
    return body if whole and len(body) <= limit else None
