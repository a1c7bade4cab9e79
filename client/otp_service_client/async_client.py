"""The client for asyncio."""

import functools
import itertools
from asyncio import sleep
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import httpx

from otp_service_client import calls, errors
from otp_service_client.calls import Call
from otp_service_client.responses import TIMEOUT, headers_of, options, pause_before_retry, read, unreachable

P = ParamSpec("P")
T = TypeVar("T")


class AsyncClient:
    """Calls the service. Tasks can share it; it closes its connections as a context manager or with `close`."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**options(base_url, api_key, timeout), transport=transport)
        self.verifications = AsyncVerifications(self._send)
        self.proofs = AsyncProofs(self._send)
        self.notifications = AsyncNotifications(self._send)
        self.opt_outs = AsyncOptOuts(self._send)

    async def _send(self, call: Call[T]) -> T:
        headers = headers_of(call)
        for tries in itertools.count(1):
            try:
                with unreachable():
                    response = await self._http.request(call.method, call.path, json=call.body, headers=headers)
                return read(call, response)
            except errors.Error as error:
                pause = pause_before_retry(call, tries, error)
                if pause is None:
                    raise
            await sleep(pause)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({str(self._http.base_url)!r})"


class _Send(Protocol):
    async def __call__(self, call: Call[T], /) -> T: ...


def _method(send: _Send, build: Callable[P, Call[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    @functools.wraps(build)
    async def method(*args: P.args, **kwargs: P.kwargs) -> T:
        return await send(build(*args, **kwargs))

    return method


class AsyncVerifications:
    """The calls under /v1/verifications."""

    def __init__(self, send: _Send) -> None:
        self.start = _method(send, calls.start)
        self.check = _method(send, calls.check)
        self.resend = _method(send, calls.resend)
        self.cancel = _method(send, calls.cancel)
        self.get = _method(send, calls.get)
        self.events = _method(send, calls.events)
        self.search = _method(send, calls.search)


class AsyncProofs:
    """The calls under /v1/proofs."""

    def __init__(self, send: _Send) -> None:
        self.redeem = _method(send, calls.redeem)


class AsyncNotifications:
    """The calls under /v1/notifications."""

    def __init__(self, send: _Send) -> None:
        self.send = _method(send, calls.send_notification)
        self.get = _method(send, calls.get_notification)


class AsyncOptOuts:
    """The calls under /v1/opt-outs."""

    def __init__(self, send: _Send) -> None:
        self.add = _method(send, calls.add_opt_out)
        self.lookup = _method(send, calls.look_up_opt_out)
        self.remove = _method(send, calls.remove_opt_out)
