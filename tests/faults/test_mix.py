"""Everything at once: two replicas on one database under a steady load, while servers are killed, stopped, have their
clock moved, and the gateway and the database fail. At the end the history is judged."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.backends import (
    Backend,
    Fault,
    cut_network,
    locked,
    no_more_connections,
    on_postgres,
    on_sqlite,
    read_only,
    restarting,
    silent_network,
    stopped_in_its_tracks,
)
from tests.faults.careless import Careless
from tests.faults.clocks import HOUR, jumps
from tests.faults.people import Recorder, client
from tests.faults.replica import Replica, fleet
from tests.faults.world import afterwards, faults_settings, judge
from tests.support.api_keys import new_key
from tests.support.postgres import Cluster
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

SECONDS = 120.0
APPLICATIONS, PEOPLE_OF_EACH = 2, 5
LONGEST_FAULT_SECONDS, LONGEST_PAUSE_SECONDS = 0.8, 0.4
GATEWAY_FAULTS = (
    *("refuse", "bad_signature", "http_404", "http_503", "reset_before", "html", "unknown", "reset_after", "slow"),
    *("slow_refuse", "malformed", "empty", "rootless", "no_pin", "two_pins", "short_pin", "utf16", "message_failed"),
)
OF_POSTGRES: tuple[Fault, ...] = (
    *(restarting, stopped_in_its_tracks, silent_network, cut_network, read_only, no_more_connections),
)
OF_SQLITE: tuple[Fault, ...] = (locked,)

Wrong = Callable[[], Awaitable[None]]
"""One thing that goes wrong."""


@dataclass
class Chaos:
    """What goes wrong. `done`: in which order it did."""

    servers: list[Replica]
    backend: Backend
    vendor: Vendor
    chance: random.Random
    faults: Sequence[Fault]
    done: list[str]

    async def go_on(self, seconds: float) -> None:
        """One after the other, with pauses, for so long; then everything is well again."""
        until = time.monotonic() + seconds
        kinds = (self._kill, self._stop, self._jump, self._gateway, self._gateway, *map(self._database, self.faults))
        for kind in self._again_and_again(kinds):
            if time.monotonic() > until:
                break
            await kind()
            await asyncio.sleep(self.chance.uniform(0, LONGEST_PAUSE_SECONDS))
        self.vendor.recover()
        for server in self.servers:
            await server.ready()

    def _again_and_again(self, kinds: Sequence[Wrong]) -> Iterator[Wrong]:
        """Each once, in an order that chance decides, and so on."""
        while True:
            yield from self.chance.sample(kinds, len(kinds))

    async def _kill(self) -> None:
        server = self._one("kill")
        await asyncio.to_thread(server.kill)
        await server.comes_up()

    async def _stop(self) -> None:
        server = self._one("stop")
        code = await asyncio.to_thread(server.stop)
        assert code == 0, server.tail()
        await server.comes_up()

    async def _jump(self) -> None:
        self._one("jump").signal(signal.SIGUSR1)

    async def _gateway(self) -> None:
        fault = self.chance.choice(GATEWAY_FAULTS)
        method = self.chance.choice(("pin", "sms"))
        # `message_failed` is of sendSMS alone, as those of a PIN are of the route `pin`.
        method = {"message_failed": "sms", "no_pin": "pin", "two_pins": "pin", "short_pin": "pin"}.get(fault, method)
        self.vendor.fail(method, fault, times=self.chance.randrange(1, 6), seconds=0.5)
        self.done.append(fault)

    def _database(self, fault: Fault) -> Wrong:
        async def wrong() -> None:
            self.done.append(fault.__name__)
            async with fault(self.backend):
                await asyncio.sleep(self.chance.uniform(0.1, LONGEST_FAULT_SECONDS))

        return wrong

    def _one(self, what: str) -> Replica:
        at = self.chance.randrange(len(self.servers))
        self.done.append(f"{what} {at}")
        return self.servers[at]


@pytest.fixture(params=["sqlite", "postgresql"])
async def backend(request: pytest.FixtureRequest, migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Backend]:
    """Each database."""
    if request.param == "sqlite":
        yield on_sqlite(migrated_sqlite, tmp_path)
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    async with on_postgres(cluster) as made:
        yield made


@asynccontextmanager
async def load(backend: Backend, vendor: Vendor, urls: list[str], chance: random.Random) -> AsyncIterator[Recorder]:
    """Goes on while the block runs. All its calls are in one recorder."""
    first = Recorder(await new_key(backend.url, "app-0"))
    others = [await new_key(backend.url, f"app-{at}") for at in range(1, APPLICATIONS)]
    recorders = [first, *(first.beside(key) for key in others)]
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(client(url)) for url in urls]
        people = [
            Careless(recorder, vendor, replicas, random.Random(chance.random()))
            for recorder in recorders
            for _ in range(PEOPLE_OF_EACH)
        ]
        tasks = [asyncio.create_task(person.go_on(stopping)) for person in people]
        try:
            yield first
        finally:
            stopping.set()
            await asyncio.gather(*tasks)


async def test_everything_at_once(backend: Backend, vendor: Vendor, tmp_path: Path, chance: random.Random) -> None:
    settings = faults_settings(backend.served, vendor, tmp_path)
    twists = (jumps(HOUR), jumps(-HOUR))
    async with fleet(settings, settings, twists=twists) as servers:
        for server in servers:
            await server.comes_up()
        faults = OF_POSTGRES if backend.cluster else OF_SQLITE
        chaos = Chaos(servers, backend, vendor, chance, faults, [])
        async with load(backend, vendor, [server.url for server in servers], chance) as recorder:
            await chaos.go_on(SECONDS)
    results = [call.result or call.status for call in recorder.calls]
    counted = {str(result): results.count(result) for result in dict.fromkeys(results)}
    print(f"{len(results)} calls: {counted}\n{chaos.done}")  # noqa: T201 - what was tried
    assert counted["approved"] > 0
    async with afterwards(backend.url, vendor) as service:
        judge(recorder, vendor, backend.url, service.ctx.vault)
