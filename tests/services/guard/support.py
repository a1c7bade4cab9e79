"""Starts under the guard."""

import itertools
from typing import Any

import httpx

from otp_service.services.guard import counting, watch
from tests.support.service import NO_LIMITS, Api, Service

_ranges = itertools.count(10)


def config(**guard: Any) -> dict[str, Any]:
    """Returns a policy with this table `[guard]`."""
    return {"limits": NO_LIMITS, "purposes": {"signup": {"resend_after": [0]}}, "guard": guard}


def new_range() -> str:
    """Returns the prefix of 10,000 numbers that no other test uses."""
    return f"+57311{next(_ranges):03d}"


async def start(service: Service, to: str, api: Api | None = None, **fields: Any) -> httpx.Response:
    """Returns the answer to a start, once the guard has counted it."""
    answer = await (api or service.api).try_start(to, **fields)
    await count(service)
    return answer


async def count(service: Service) -> None:
    """Counts what waits to be counted."""
    while await counting.work(service.ctx):
        pass


async def sign_up(service: Service, to: str, **fields: Any) -> None:
    """Starts and approves a verification."""
    answer = await start(service, to, **fields)
    assert answer.status_code == 201, answer.text
    assert await service.api.check(answer.json()["id"], service.pin(to)) == "approved"
    await count(service)


async def pump(service: Service, prefix: str, requests: int = 12, **fields: Any) -> list[httpx.Response]:
    """Returns the answers to starts for numbers of a range, one after the other."""
    return [await start(service, f"{prefix}{number * 100:04d}", **fields) for number in range(requests)]


async def watch_once(service: Service) -> None:
    """Does what every process does each second."""
    await watch.step(service.ctx)
