"""Correct applications under load: each start is followed by the right PIN and must end approved.

After a 503 or no response, they repeat the call with the same Idempotency-Key at the next replica. Anything else counts
as a failure.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.faults.history import Call
from tests.faults.people import Recorder, client
from tests.support.patience import PATIENCE
from tests.support.service import new_number, wrong
from tests.support.vendor import Vendor

AT_ONCE = 8
PAUSE_SECONDS = 0.05

Request = Callable[[httpx.AsyncClient, str], Awaitable[Call]]


@dataclass
class Honest:
    """A load of correct users. `failures`: error messages; `approved`: approved users; `repeated`: repeated calls."""

    recorder: Recorder
    vendor: Vendor
    replicas: list[httpx.AsyncClient]
    chance: random.Random
    failures: list[str] = field(default_factory=list)
    approved: int = 0
    repeated: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, count: int = 20) -> None:
        """Waits until this many more users were approved, or one was rejected."""
        wanted = self.approved + count
        async with asyncio.timeout(PATIENCE):
            while self.approved < wanted and not self.failures:
                await self._news.wait()
                self._news.clear()

    async def go_on(self) -> None:
        """Serves one user after another until it is stopped."""
        while not self.stopping.is_set():
            try:
                await self._one()
            except _Failed as failed:
                self.failures.append(str(failed))
            self._news.set()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _one(self) -> None:
        to = new_number()
        started = await self._must(lambda http, key: self.recorder.start(http, to, key), 201)
        if started.body["delivery"]["status"] != "sent" or self.chance.random() < 0.3:
            await self._must(lambda http, key: self.recorder.resend(http, started, key), 200)
        pin = str((await self._messages(to))[0]["pin"])
        if self.chance.random() < 0.3:
            await self._checked(started, wrong(pin), "incorrect")
        await self._checked(started, pin, "approved")
        self.approved += 1

    async def _checked(self, started: Call, pin: str, result: str) -> None:
        before = self.repeated
        checked = await self._must(lambda http, key: self.recorder.check(http, started, pin, key), 200)
        # The first try may have approved it before its connection was lost.
        allowed = {result, "already_approved"} if self.repeated > before and result == "approved" else {result}
        if checked.result not in allowed:
            raise _Failed(f"a check that should be {result} was {checked.result}")

    async def _messages(self, to: str) -> list[dict[str, str]]:
        return await asyncio.to_thread(self.vendor.messages, to)

    async def _must(self, request: Request, status: int) -> Call:
        key, at = self.recorder.new_key(), self.chance.randrange(len(self.replicas))
        async with asyncio.timeout(PATIENCE):
            while may_be_repeated(done := await request(self.replicas[at % len(self.replicas)], key)):
                at += 1
                self.repeated += 1
                await asyncio.sleep(PAUSE_SECONDS)
        if done.status != status:
            raise _Failed(f"{done.operation} was answered {done.status} {done.body.get('code')}")
        return done


class _Failed(Exception):
    """A correct user was rejected."""


def may_be_repeated(call: Call) -> bool:
    """Whether there was no response, a 503, or the first call is still running."""
    return call.status in (None, 503) or call.body.get("code") == "idempotency_in_progress"


@asynccontextmanager
async def honest_load(
    recorder: Recorder, vendor: Vendor, urls: list[str], chance: random.Random
) -> AsyncIterator[Honest]:
    """Runs the load during the block, then lets every user finish, and fails if one was rejected."""
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(client(url)) for url in urls]
        load = Honest(recorder, vendor, replicas, chance)
        tasks = [asyncio.create_task(load.go_on()) for _ in range(AT_ONCE)]
        try:
            yield load
        finally:
            load.stopping.set()
            await asyncio.gather(*tasks)
        print(f"{load.approved} approved, {load.repeated} calls repeated")  # noqa: T201 - what was tried
        assert load.failures == [], "; ".join(load.failures)
