"""SIGKILL at every step between the row and the answer: nothing is lost, nothing sent twice, nothing verifies that was
not sent. What was killed is repeated under its Idempotency-Key, once it counts as dead."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from tests.faults import rules
from tests.faults.crashing import crash_when_asked
from tests.faults.history import Call, VerificationRow
from tests.faults.people import Recorder, client
from tests.faults.replica import Replica, fleet
from tests.faults.world import CONFIG, PASSES_SECONDS, afterwards, history_of, judge
from tests.support.api_keys import new_key
from tests.support.service import Service, new_number, serving, wrong
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long


@dataclass
class World:
    """`healthy`: the service in this process, on the same database as the server that crashes."""

    vendor: Vendor
    healthy: Service
    crashing: Replica
    http: httpx.AsyncClient
    recorder: Recorder
    repeats: list[Callable[[], Awaitable[Call]]] = field(default_factory=list)

    async def started(self) -> Call:
        """A verification that is out."""
        done = await self.recorder.start(self.healthy.http, new_number())
        assert done.status == 201
        return done

    def pin(self, started: Call) -> str:
        """What the person got."""
        return self.healthy.pin(started.to or "")


Run = Callable[[httpx.AsyncClient, str | None], Awaitable[Call]]
Operation = Callable[[World], Awaitable[Run]]
"""Prepares one, with a number of its own; what it returns runs it, as often as one likes."""


async def _start(world: World) -> Run:
    to = new_number()
    return lambda http, key: world.recorder.start(http, to, key)


async def _start_by_sms(world: World) -> Run:
    to = new_number()
    return lambda http, key: world.recorder.start(http, to, key, purpose="by_sms")


async def _start_refused_first(world: World) -> Run:
    world.vendor.fail("pin", "refuse")
    return await _start(world)


async def _resend(world: World) -> Run:
    started = await world.started()
    return lambda http, key: world.recorder.resend(http, started, key)


async def _right_check(world: World) -> Run:
    started = await world.started()
    return lambda http, key: world.recorder.check(http, started, world.pin(started), key)


async def _wrong_check(world: World) -> Run:
    started = await world.started()
    return lambda http, key: world.recorder.check(http, started, wrong(world.pin(started)), key)


async def _cancel(world: World) -> Run:
    started = await world.started()
    return lambda http, key: world.recorder.cancel(http, started, key)


async def _notify(world: World) -> Run:
    to = new_number()
    return lambda http, key: world.recorder.notify(http, to, key)


OPERATIONS: tuple[Operation, ...] = (
    _start,
    _start_by_sms,
    _start_refused_first,
    _resend,
    _right_check,
    _wrong_check,
    _cancel,
    _notify,
)


@asynccontextmanager
async def a_world(database_url: str, settings: dict[str, str], vendor: Vendor) -> AsyncIterator[World]:
    recorder = Recorder(await new_key(database_url, "app"))
    async with (
        fleet(settings, twists=(crash_when_asked,)) as (crashing,),
        serving(database_url, vendor, tomllib.loads(CONFIG)) as healthy,
        client(crashing.url) as http,
    ):
        await crashing.comes_up()
        yield World(vendor, healthy, crashing, http, recorder)


async def run_until(world: World, operation: Operation, crash_at: int, *, keyed: bool) -> int | None:
    """Runs one, to be killed at the step; how many steps there were, or None where it was killed."""
    world.vendor.recover()
    run = await operation(world)
    key = world.recorder.new_key() if keyed else None
    world.http.headers["Crash-At"] = str(crash_at)
    done = await run(world.http, key)
    del world.http.headers["Crash-At"]
    if key is not None:
        world.repeats.append(lambda: run(world.healthy.http, key))
    steps = await steps_of(world, done)
    if steps is None:
        await asyncio.to_thread(world.crashing.process.join, 60)
        await world.crashing.comes_up()
    return steps


async def steps_of(world: World, done: Call) -> int | None:
    """The steps it took; None where the server has died, if only after the answer."""
    if done.status is None:
        return None
    assert done.status in (200, 201, 202), done.body.get("code")
    try:
        if done.operation == "notify":
            await notified(world, done)
        return int((await world.http.get("/steps")).text)
    except httpx.TransportError:
        return None


async def notified(world: World, done: Call) -> None:
    """Waits until the notification has left the queue."""
    path, key = f"/v1/notifications/{done.body['id']}", {"Authorization": f"Bearer {world.recorder.api_key}"}
    async with asyncio.timeout(60):
        while (await world.http.get(path, headers=key)).json()["status"] in ("queued", "sending"):
            pass


async def kill_everywhere(world: World, operation: Operation, *, keyed: bool) -> int:
    """At step 1, 2, 3, ... until it survives; how many steps there were."""
    crash_at = 1
    while await run_until(world, operation, crash_at, keyed=keyed) is None:
        crash_at += 1
    return crash_at - 1


async def repeat_all(world: World) -> None:
    """What ran under a key is repeated at another server: it is answered as if nothing had happened, and once."""
    for repeat in world.repeats:
        first, again = await repeat(), await repeat()
        assert first.status in (200, 201, 202), first.body.get("code")
        assert (again.status, again.body.get("result")) == (first.status, first.body.get("result"))


async def type_what_came(world: World, database_url: str) -> None:
    """Whoever waits types what came, the newest first: a PIN of a send that is known to be out counts."""
    seen = history_of(world.recorder, world.vendor, database_url, world.healthy.ctx.vault)
    known = {send.verification_id for send in seen.rows.sends if send.has_hash}
    for row in seen.rows.verifications:
        if row.status == "pending":
            pins = [message.pin or "" for message in reversed(seen.messages) if message.to == row.to]
            results = [await typed(world, row, pin) for pin in pins]
            assert ("approved" in results) == (row.id in known and bool(pins)), results
            assert await typed(world, row, wrong(pins[0] if pins else "123456")) != "approved"


async def typed(world: World, row: VerificationRow, pin: str) -> str | None:
    """The result of a check."""
    started = Call("start", 201, {"id": row.id}, to=row.to)
    return (await world.recorder.check(world.healthy.http, started, pin)).result


async def test_no_kill_loses_anything_or_sends_twice(
    database_url: str, settings: dict[str, str], vendor: Vendor
) -> None:
    async with a_world(database_url, settings, vendor) as world:
        for operation in OPERATIONS:
            steps = [await kill_everywhere(world, operation, keyed=keyed) for keyed in (False, True)]
            print(operation.__name__, "steps:", *steps)  # noqa: T201 - what was tried
            assert min(steps) >= 3
        vault = world.healthy.ctx.vault
        before = history_of(world.recorder, vendor, database_url, vault)
        assert list(rules.no_double_send(before)) == []
        async with afterwards(database_url, vendor) as world.healthy:
            await repeat_all(world)
            await type_what_came(world, database_url)
            judge(world.recorder, vendor, database_url, vault, slack=PASSES_SECONDS + 0.5)
