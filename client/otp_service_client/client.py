"""The client for synchronous code."""

import functools
import itertools
from collections.abc import Callable
from time import sleep
from typing import ParamSpec, Protocol, Self, TypeVar

import httpx

from otp_service_client import calls, errors
from otp_service_client.calls import Call
from otp_service_client.responses import TIMEOUT, headers_of, options, pause_before_retry, read, unreachable

P = ParamSpec("P")
T = TypeVar("T")


class Client:
    """Calls the service. Threads can share it; it closes its connections as a context manager or with `close`."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**options(base_url, api_key, timeout), transport=transport)
        self.verifications = Verifications(self._send)
        self.proofs = Proofs(self._send)
        self.notifications = Notifications(self._send)
        self.opt_outs = OptOuts(self._send)

    def _send(self, call: Call[T]) -> T:
        headers = headers_of(call)
        for tries in itertools.count(1):
            try:
                with unreachable():
                    response = self._http.request(call.method, call.path, json=call.body, headers=headers)
                return read(call, response)
            except errors.Error as error:
                pause = pause_before_retry(call, tries, error)
                if pause is None:
                    raise
            sleep(pause)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({str(self._http.base_url)!r})"


class _Send(Protocol):
    def __call__(self, call: Call[T], /) -> T: ...


def _method(send: _Send, build: Callable[P, Call[T]]) -> Callable[P, T]:
    @functools.wraps(build)
    def method(*args: P.args, **kwargs: P.kwargs) -> T:
        return send(build(*args, **kwargs))

    return method


class Verifications:
    """The calls under /v1/verifications."""

    def __init__(self, send: _Send) -> None:
        self.start = _method(send, calls.start)
        self.check = _method(send, calls.check)
        self.resend = _method(send, calls.resend)
        self.cancel = _method(send, calls.cancel)
        self.get = _method(send, calls.get)
        self.events = _method(send, calls.events)
        self.search = _method(send, calls.search)


class Proofs:
    """The calls under /v1/proofs."""

    def __init__(self, send: _Send) -> None:
        self.redeem = _method(send, calls.redeem)


class Notifications:
    """The calls under /v1/notifications."""

    def __init__(self, send: _Send) -> None:
        self.send = _method(send, calls.send_notification)
        self.get = _method(send, calls.get_notification)


class OptOuts:
    """The calls under /v1/opt-outs."""

    def __init__(self, send: _Send) -> None:
        self.add = _method(send, calls.add_opt_out)
        self.lookup = _method(send, calls.look_up_opt_out)
        self.remove = _method(send, calls.remove_opt_out)
