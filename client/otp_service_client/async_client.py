"""The client for asyncio."""

import functools
import itertools
from asyncio import sleep
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import httpx

from otp_service_client import calls, errors, factor_calls
from otp_service_client.calls import Call
from otp_service_client.responses import TIMEOUT, options, pause_before_retry, read, request_of, unreachable

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
        self.factors = AsyncFactors(self._send)
        self.challenges = AsyncChallenges(self._send)
        self.devices = AsyncDevices(self._send)
        self.subjects = AsyncSubjects(self._send)

    async def _send(self, call: Call[T]) -> T:
        request = request_of(call)
        for tries in itertools.count(1):
            try:
                with unreachable():
                    response = await self._http.request(**request)
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


class AsyncFactors:
    """The calls under /v1/factors."""

    def __init__(self, send: _Send) -> None:
        self.add_totp = _method(send, factor_calls.add_totp)
        self.add_sms = _method(send, factor_calls.add_sms)
        self.verify = _method(send, factor_calls.verify)
        self.list = _method(send, factor_calls.list_factors)
        self.get = _method(send, factor_calls.get_factor)
        self.update = _method(send, factor_calls.update_factor)
        self.remove = _method(send, factor_calls.remove_factor)
        self.recovery_codes = _method(send, factor_calls.recovery_codes)


class AsyncChallenges:
    """The calls under /v1/challenges."""

    def __init__(self, send: _Send) -> None:
        self.start = _method(send, factor_calls.start_challenge)
        self.check = _method(send, factor_calls.check_challenge)
        self.resend = _method(send, factor_calls.resend_challenge)
        self.switch = _method(send, factor_calls.switch_challenge)
        self.cancel = _method(send, factor_calls.cancel_challenge)
        self.get = _method(send, factor_calls.get_challenge)
        self.events = _method(send, factor_calls.challenge_events)


class AsyncDevices:
    """The calls under /v1/devices."""

    def __init__(self, send: _Send) -> None:
        self.list = _method(send, factor_calls.list_devices)
        self.revoke = _method(send, factor_calls.revoke_device)
        self.revoke_all = _method(send, factor_calls.revoke_devices)


class AsyncSubjects:
    """The calls under /v1/subjects."""

    def __init__(self, send: _Send) -> None:
        self.get = _method(send, factor_calls.get_subject)
        self.erase = _method(send, factor_calls.erase_subject)
