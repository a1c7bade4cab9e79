"""A reload that fails leaves the old application in force and says why; the old one closes beside the new one."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from otp_service.errors import SettingsError
from otp_service.server.reload import Reloadable
from tests.support.patience import PATIENCE, until
from tests.support.service import serving
from tests.support.vendor import Vendor


def named(name: str, lifespan: Callable[[Starlette], Any] | None = None) -> Starlette:
    """An application that answers with its name."""

    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse(name)

    return Starlette(routes=[Route("/", answer)], lifespan=lifespan)


@asynccontextmanager
async def broken_start(_: Starlette) -> AsyncIterator[None]:
    raise OSError("no start")
    yield


@asynccontextmanager
async def broken_end(_: Starlette) -> AsyncIterator[None]:
    yield
    raise OSError("no end")


async def reloaded(first: Starlette, second: Callable[[], Starlette]) -> tuple[list[Any], str]:
    """Serve an application and reload; return the log and who answers then."""
    left = [lambda: first, second]
    served = Reloadable(lambda: left.pop(0)(), on_hangup=True)
    async with (
        served._lifespan(Starlette()),
        httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://test") as client,
    ):
        with capture_logs() as log:
            os.kill(os.getpid(), signal.SIGHUP)

            async def has_reloaded() -> bool:
                return bool(log) and not served._lock.locked()

            await until(has_reloaded)
        return log, (await client.get("/")).text


def refused() -> Starlette:
    raise SettingsError(["OTP_X is wrong."])


def broken() -> Starlette:
    raise RuntimeError("never seen before")


@pytest.mark.parametrize("second", [refused, broken, lambda: named("new", broken_start)])
async def test_a_reload_that_fails_is_logged_and_the_old_application_goes_on(second: Callable[[], Starlette]) -> None:
    log, answers = await reloaded(named("old"), second)
    assert ([line["event"] for line in log], answers) == (["reload_failed"], "old")
    assert log[0]["advice"] == "the old settings stay in force"
    assert "problems" in log[0] or log[0]["exc_info"]


async def test_an_old_application_that_does_not_stop_is_logged_and_the_new_one_serves() -> None:
    log, answers = await reloaded(named("old", broken_end), lambda: named("new"))
    assert (log[-1]["event"], answers) == ("old_application_not_stopped", "new")


async def test_the_event_loop_goes_on_while_the_database_and_the_hasher_close(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on, loop = [], asyncio.get_running_loop()

    def close() -> None:
        ticked = threading.Event()
        loop.call_soon_threadsafe(ticked.set)
        went_on.append(ticked.wait(PATIENCE))

    async with serving(database_url, vendor) as service:
        really = service.ctx.database.close, service.ctx.hasher.close
        monkeypatch.setattr(service.ctx.database, "close", close)
        monkeypatch.setattr(service.ctx.hasher, "close", close)
    for each in really:
        each()
    assert went_on == [True, True]
