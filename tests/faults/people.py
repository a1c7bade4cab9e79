"""Clients that record each call and its response for the history."""

import itertools
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.faults.history import Call
from tests.support.service import Api

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 15.0


def client(url: str) -> httpx.AsyncClient:
    """Returns an HTTP client of a server, for many concurrent calls."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=None)
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, trust_env=False)


@dataclass
class Recorder:
    """One client application. `calls` are in the order of their responses; `numbers` are those it sent to."""

    api_key: str = field(repr=False)
    calls: list[Call] = field(default_factory=list, repr=False)
    numbers: set[str] = field(default_factory=set, repr=False)
    _keys: Any = field(default_factory=lambda: itertools.count(1), repr=False)

    def beside(self, api_key: str) -> "Recorder":
        """Returns another application that records its calls in the same place."""
        return replace(self, api_key=api_key)

    def new_key(self) -> str:
        """Returns an unused Idempotency-Key."""
        return f"key-{next(self._keys)}"

    async def start(self, http: httpx.AsyncClient, to: str, key: str | None = None, **fields: Any) -> Call:
        """Calls a start."""
        self.numbers.add(to)
        body = {"to": to, "purpose": "signup", **fields}
        return await self._call(http, "/v1/verifications", body, Call("start", None, to=to, key=key))

    async def resend(self, http: httpx.AsyncClient, started: Call, key: str | None = None) -> Call:
        """Calls a resend of a start."""
        return await self._of(http, started, "resend", "resends", {}, key)

    async def check(self, http: httpx.AsyncClient, started: Call, pin: str, key: str | None = None) -> Call:
        """Calls a check."""
        return await self._of(http, started, "check", "checks", {"pin": pin}, key)

    async def cancel(self, http: httpx.AsyncClient, started: Call, key: str | None = None) -> Call:
        """Calls a cancel."""
        return await self._of(http, started, "cancel", "cancel", {}, key)

    async def notify(self, http: httpx.AsyncClient, to: str, key: str | None = None) -> Call:
        """Calls a notification."""
        self.numbers.add(to)
        body = {"to": to, "text": "Your parcel has arrived."}
        return await self._call(http, "/v1/notifications", body, Call("notify", None, to=to, key=key))

    async def _of(
        self, http: httpx.AsyncClient, started: Call, operation: str, path: str, body: dict[str, Any], key: str | None
    ) -> Call:
        this = Call(operation, None, to=started.to, verification_id=id_of(started), pin=body.get("pin"), key=key)
        return await self._call(http, f"/v1/verifications/{id_of(started)}/{path}", body or None, this)

    async def _call(self, http: httpx.AsyncClient, path: str, body: Any, call: Call) -> Call:
        headers = {"Idempotency-Key": call.key} if call.key else {}
        begun = time.monotonic()
        got: dict[str, Any] = {}
        with suppress(httpx.TransportError):
            answer = await Api(http, self.api_key).call("POST", path, body, **headers)
            got = {"status": answer.status_code, "body": answer.json()}
            got["retry_after"] = answer.headers.get("retry-after")
        done = replace(call, **got, seconds=time.monotonic() - begun)
        self.calls.append(done)
        return done


def id_of(started: Call) -> str:
    """Returns the id of the verification in the response to a start."""
    return str(started.body["id"])
