"""The clock of one replica is an hour off, from its start or since a jump: no PIN outlives its lifetime, none comes
back, limits and waits stand."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.faults.clocks import HOUR, begins, jumps
from tests.faults.people import Recorder, client
from tests.faults.replica import Twist, fleet
from tests.faults.world import afterwards, faults_settings, judge
from tests.support.api_keys import new_key
from tests.support.service import Api, new_number, wrong
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

LIFETIME = 15
"""Long enough for a few calls on a busy machine."""
CONFIG = f"""
[limits]
sends_per_number = "2/hour"
pause_per_number = 0
sends_per_user_ip = ""
failures_per_number = {{free = 3, first_wait = 600}}
[purposes.signup]
lifetime = {LIFETIME}
resend_after = [0]
"""


@dataclass
class World:
    """A client of each replica: one with the right time, one an hour ahead, one an hour behind."""

    replicas: list[httpx.AsyncClient]
    recorder: Recorder
    vendor: Vendor

    def pin(self, to: str) -> str:
        """What the person got."""
        return str(self.vendor.messages(to)[0]["pin"])


@asynccontextmanager
async def a_world(database_url: str, vendor: Vendor, folder: Path, twist: Twist, other: Twist) -> AsyncIterator[World]:
    settings = faults_settings(database_url, vendor, folder, CONFIG)
    recorder = Recorder(await new_key(database_url, "app"))
    async with (
        fleet(settings, settings, settings, twists=(jumps(0), twist, other)) as servers,
        AsyncExitStack() as stack,
    ):
        replicas = [await stack.enter_async_context(client(server.url)) for server in servers]
        for server in servers:
            await server.comes_up()
            server.signal(signal.SIGUSR1)
        yield World(replicas, recorder, vendor)
    async with afterwards(database_url, vendor, CONFIG) as service:
        judge(recorder, vendor, database_url, service.ctx.vault, slack=HOUR)


async def a_pin_counts_everywhere_in_time(world: World) -> None:
    for here, there in itertools.permutations(world.replicas, 2):
        started = await world.recorder.start(here, to := new_number())
        assert (await world.recorder.check(there, started, world.pin(to))).result == "approved"


async def a_pin_dies_everywhere_in_time(world: World, here: httpx.AsyncClient) -> None:
    """And stays dead; nothing that is asked of it brings it back."""
    started = await world.recorder.start(here, to := new_number())
    pin, replicas = world.pin(to), world.replicas
    await asyncio.sleep(LIFETIME + 1)
    for there in [*replicas, *replicas]:
        assert (await world.recorder.check(there, started, pin)).result == "expired"
        assert (await world.recorder.resend(there, started)).body["code"] == "not_pending"
        assert (await Api(there, world.recorder.api_key).read(started.body["id"]))["status"] == "expired"


async def limits_stand(world: World, order: tuple[httpx.AsyncClient, ...]) -> None:
    """Two messages are allowed; who sends the third is refused, wherever."""
    to = new_number()
    for at in order[:2]:
        started = await world.recorder.start(at, to)
        assert started.status == 201, started.body.get("code")
        assert (await world.recorder.cancel(at, started)).status == 200
    for at in order:
        assert (await world.recorder.start(at, to)).body["limit"] == "sends_per_number"


async def waits_stand(world: World, here: httpx.AsyncClient) -> None:
    """After three wrong checks the number waits, wherever."""
    started = await world.recorder.start(here, to := new_number())
    pin = world.pin(to)
    for _ in range(3):
        assert (await world.recorder.check(here, started, wrong(pin))).result == "incorrect"
    for there in world.replicas:
        assert (await world.recorder.check(there, started, pin)).result == "locked"


async def everything_holds(world: World) -> None:
    await a_pin_counts_everywhere_in_time(world)
    for here in world.replicas:
        await waits_stand(world, here)
    for order in itertools.permutations(world.replicas):
        await limits_stand(world, order)
    await asyncio.gather(*(a_pin_dies_everywhere_in_time(world, here) for here in world.replicas))


async def test_no_jump_of_a_replicas_clock_matters(database_url: str, vendor: Vendor, tmp_path: Path) -> None:
    async with a_world(database_url, vendor, tmp_path, jumps(HOUR), jumps(-HOUR)) as world:
        await everything_holds(world)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_no_time_at_a_replicas_start_matters(database_url: str, vendor: Vendor, tmp_path: Path) -> None:
    async with a_world(database_url, vendor, tmp_path, begins(HOUR), begins(-HOUR)) as world:
        await everything_holds(world)
