"""The database restarts, freezes, is cut off, full, read-only, locked, or takes no more connections: refused in under a
second, nothing is sent, nothing is approved, and it heals by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from otp_service.database import migrate
from tests.faults.backends import (
    Backend,
    Fault,
    cut_network,
    full,
    locked,
    no_more_connections,
    on_postgres,
    on_sqlite,
    read_only,
    restarting,
    silent_network,
    stopped_in_its_tracks,
)
from tests.faults.disks import Disk, small_disk
from tests.faults.history import Call
from tests.faults.people import Recorder, client
from tests.faults.replica import Replica, fleet
from tests.faults.world import afterwards, faults_settings, judge
from tests.support import postgres
from tests.support.api_keys import new_key
from tests.support.service import new_number
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

REFUSED_SECONDS = 1.5
"""Under a second is asked for; the rest is for a noisy machine."""
HEALED_SECONDS = 30.0
ROUNDS = 10
MOST_UNTIL_FULL = 300
DISK_MEGABYTES = 128


@dataclass
class World:
    """One server on a database that can go wrong."""

    backend: Backend
    server: Replica
    http: httpx.AsyncClient
    recorder: Recorder
    vendor: Vendor

    def pin(self, started: Call) -> str:
        """What the person got."""
        return str(self.vendor.messages(started.to)[0]["pin"])


@pytest.fixture
def disk() -> Iterator[Disk]:
    with small_disk(DISK_MEGABYTES, postgres.account()) as made:
        yield made


@asynccontextmanager
async def a_world(backend: Backend, vendor: Vendor, folder: Path) -> AsyncIterator[World]:
    """At the end the history is judged."""
    recorder = Recorder(await new_key(backend.url, "app"))
    async with fleet(faults_settings(backend.served, vendor, folder)) as (server,), client(server.url) as http:
        await server.comes_up()
        yield World(backend, server, http, recorder, vendor)
    async with afterwards(backend.url, vendor) as service:
        judge(recorder, vendor, backend.url, service.ctx.vault)


async def is_refused(world: World, call: Call) -> None:
    """503 `unavailable`, soon, and when to come again."""
    assert call.status == 503, (call.operation, call.status, call.result, world.server.tail())
    assert call.body["code"] == "unavailable"
    assert call.retry_after
    assert call.seconds < REFUSED_SECONDS, (call.operation, call.seconds)


async def lives(world: World) -> float:
    """/livez answers; in how many seconds."""
    begun = time.monotonic()
    assert (await world.http.get("/livez")).status_code == 200
    return time.monotonic() - begun


async def everything_is_refused(world: World, waiting: Call) -> None:
    """A start, a resend, a right check and a cancel, one after the other and then together."""
    recorder, http = world.recorder, world.http
    to = new_number()
    calls = [
        await recorder.start(http, to),
        await recorder.check(http, waiting, world.pin(waiting)),
        *await asyncio.gather(recorder.start(http, to), recorder.resend(http, waiting), recorder.cancel(http, waiting)),
    ]
    print(*(f"{call.operation} {call.seconds:.2f} s" for call in calls), f"livez {await lives(world):.3f} s")  # noqa: T201
    for call in calls:
        await is_refused(world, call)
    assert world.vendor.messages(to) == []


async def suffers(world: World, fault: Fault) -> None:
    """Before the fault a PIN is out; after it, it is healthy again, and works."""
    waiting = await world.recorder.start(world.http, new_number())
    assert waiting.status == 201, waiting.body
    async with fault(world.backend):
        await everything_is_refused(world, waiting)
    print(f"healthy after {await world.server.ready(HEALED_SECONDS):.2f} s")  # noqa: T201
    again = await world.recorder.start(world.http, new_number())
    assert again.status == 201, again.body.get("code")
    assert (await world.recorder.check(world.http, again, world.pin(again))).result == "approved"


@pytest.mark.parametrize(
    "fault", [restarting, stopped_in_its_tracks, silent_network, cut_network, read_only, no_more_connections]
)
async def test_postgresql(cluster: postgres.Cluster, vendor: Vendor, tmp_path: Path, fault: Fault) -> None:
    async with on_postgres(cluster) as backend, a_world(backend, vendor, tmp_path) as world:
        for _ in range(ROUNDS):
            await suffers(world, fault)


async def test_sqlite_whose_write_lock_another_process_holds(
    migrated_sqlite: Path, vendor: Vendor, tmp_path: Path
) -> None:
    async with a_world(on_sqlite(migrated_sqlite, tmp_path), vendor, tmp_path) as world:
        for _ in range(ROUNDS):
            await suffers(world, locked)


async def until_full(world: World) -> None:
    """What still fits is taken, and done; then a start is refused, soon, and sends nothing."""
    for _ in range(MOST_UNTIL_FULL):
        to = new_number()
        started = await world.recorder.start(world.http, to)
        if started.status != 201:
            print(f"start {started.seconds:.2f} s, livez {await lives(world):.3f} s")  # noqa: T201
            await is_refused(world, started)
            return
    raise AssertionError("the disk was never full")


async def fills_up(world: World) -> None:
    """A disk without room, and room again."""
    async with full(world.backend):
        await until_full(world)
    print(f"healthy after {await world.server.ready(HEALED_SECONDS):.2f} s")  # noqa: T201
    again = await world.recorder.start(world.http, new_number())
    assert again.status == 201, again.body.get("code")
    assert (await world.recorder.check(world.http, again, world.pin(again))).result == "approved"


async def test_sqlite_on_a_full_disk(migrated_sqlite: Path, vendor: Vendor, tmp_path: Path, disk: Disk) -> None:
    backend = replace(on_sqlite(migrated_sqlite, disk.path), disk=disk)
    async with a_world(backend, vendor, tmp_path) as world:
        await fills_up(world)


async def test_postgresql_on_a_full_disk(vendor: Vendor, tmp_path: Path, disk: Disk) -> None:
    cluster = postgres.Cluster(postgres.find_binaries(), disk.path)
    try:
        url = cluster.create_database()
        migrate.upgrade(url)
        async with a_world(Backend(url, url, disk=disk), vendor, tmp_path) as world:
            await fills_up(world)
    finally:
        cluster.stop()
