"""The database restarts, freezes, is cut off, full, read-only, locked, or takes no more connections: refused in under a
second, nothing is sent, nothing is approved, and it heals by itself."""

import asyncio
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from otp_service.storage import migrate
from tests.faults.conftest import afterwards, faults_settings, judge
from tests.faults.disks import Disk, small_disk
from tests.faults.history import Call
from tests.faults.people import Recorder, client
from tests.faults.proxy import Proxy, proxy
from tests.faults.replica import Replica, fleet
from tests.processes.test_replicas import new_key
from tests.support import postgres
from tests.support.service import new_number
from tests.support.vendor import Vendor

REFUSED_SECONDS = 1.5
"""Under a second is asked for; the rest is for a noisy machine."""
HEALED_SECONDS = 30.0
ROUNDS, ROUNDS_IN_LONG = 1, 10
MOST_UNTIL_FULL = 300
DISK_MEGABYTES = 128


@dataclass
class World:
    """One server, and the network and the disk between it and its database. `url`: past the network."""

    server: Replica
    http: httpx.AsyncClient
    recorder: Recorder
    vendor: Vendor
    url: str
    disk: Disk | None = None
    cluster: postgres.Cluster | None = None
    network: Proxy | None = None

    def pin(self, started: Call) -> str:
        """What the person got."""
        return str(self.vendor.messages(started.to)[0]["pin"])


Fault = Callable[[World], AbstractAsyncContextManager[None]]


@pytest.fixture
def disk() -> Iterator[Disk]:
    with small_disk(DISK_MEGABYTES, postgres.account()) as made:
        yield made


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL that may suffer, and an account on it that is no superuser: those are never refused."""
    own = postgres.Cluster(postgres.find_binaries(), synchronous_commit="on")
    with psycopg.connect(own.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE service LOGIN")
    yield own
    own.stop()


@asynccontextmanager
async def a_world(url: str, served: str, vendor: Vendor, folder: Path) -> AsyncIterator[World]:
    """`served`: the database as the server is told of it. At the end the history is judged."""
    recorder = Recorder(await new_key(url, "app"))
    with fleet(faults_settings(served, vendor, folder)) as (server,):
        async with client(server.url) as http:
            await server.ready()
            yield World(server, http, recorder, vendor, url)
            async with afterwards(url, vendor) as service:
                judge(recorder, vendor, url, service.ctx.vault)


def as_service(url: str) -> str:
    """The same database as another account."""
    return url.replace(f"{postgres.ROLE}@", "service@")


@asynccontextmanager
async def on_postgres(cluster: postgres.Cluster, vendor: Vendor, folder: Path) -> AsyncIterator[World]:
    """Behind a network that can fail."""
    url = cluster.create_database()
    database = url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("GRANT ALL ON SCHEMA public TO service")
    migrate.upgrade(as_service(url))
    async with proxy(cluster.directory / ".s.PGSQL.5432") as network:
        served = f"postgresql://service@127.0.0.1:{network.port}/{database}"
        async with a_world(url, served, vendor, folder) as world:
            world.cluster, world.network = cluster, network
            yield world


@asynccontextmanager
async def on_sqlite(template: Path, vendor: Vendor, folder: Path) -> AsyncIterator[World]:
    """`folder`: where its file is."""
    url = f"sqlite:///{shutil.copy(template, folder / 'faults.db')}"
    async with a_world(url, url, vendor, folder) as world:
        yield world


@asynccontextmanager
async def restarting(world: World) -> AsyncIterator[None]:
    assert world.cluster
    world.cluster.kill()
    try:
        yield
    finally:
        world.cluster.start()  # not in a thread: it would end with that


@asynccontextmanager
async def stopped_in_its_tracks(world: World) -> AsyncIterator[None]:
    """Every process of PostgreSQL."""
    assert world.cluster
    assert world.cluster.pid
    pids = [world.cluster.pid, *children(world.cluster.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@asynccontextmanager
async def silent_network(world: World) -> AsyncIterator[None]:
    assert world.network
    world.network.freeze()
    try:
        yield
    finally:
        world.network.thaw()


@asynccontextmanager
async def cut_network(world: World) -> AsyncIterator[None]:
    assert world.network
    world.network.cut()
    try:
        yield
    finally:
        world.network.mend()


@asynccontextmanager
async def read_only(world: World) -> AsyncIterator[None]:
    with altered(world.url, "SET default_transaction_read_only = on", "RESET default_transaction_read_only"):
        yield


@asynccontextmanager
async def no_more_connections(world: World) -> AsyncIterator[None]:
    with altered(world.url, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1"):
        yield


@contextmanager
def altered(url: str, begin: str, end: str) -> Iterator[None]:
    """The database changed for what connects from now on; what is connected is cut off."""
    name = url.partition("?")[0].rpartition("/")[2]
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} {begin}".encode())
        connection.execute(cut)
        try:
            yield
        finally:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {name} {end}".encode())
            connection.execute(cut)


@asynccontextmanager
async def locked(world: World) -> AsyncIterator[None]:
    """Another process holds SQLite's write lock."""
    holder = sqlite3.connect(world.url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.close()


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
    async with fault(world):
        await everything_is_refused(world, waiting)
    print(f"healthy after {await world.server.ready(HEALED_SECONDS):.2f} s")  # noqa: T201
    again = await world.recorder.start(world.http, new_number())
    assert again.status == 201, again.body
    assert (await world.recorder.check(world.http, again, world.pin(again))).result == "approved"


@pytest.mark.parametrize(
    "fault", [restarting, stopped_in_its_tracks, silent_network, cut_network, read_only, no_more_connections]
)
async def test_postgresql(
    cluster: postgres.Cluster, vendor: Vendor, tmp_path: Path, fault: Fault, long_form: bool
) -> None:
    async with on_postgres(cluster, vendor, tmp_path) as world:
        for _ in range(ROUNDS_IN_LONG if long_form else ROUNDS):
            await suffers(world, fault)


async def test_sqlite_whose_write_lock_another_process_holds(
    migrated_sqlite: Path, vendor: Vendor, tmp_path: Path, long_form: bool
) -> None:
    async with on_sqlite(migrated_sqlite, vendor, tmp_path) as world:
        for _ in range(ROUNDS_IN_LONG if long_form else ROUNDS):
            await suffers(world, locked)


@asynccontextmanager
async def full(world: World) -> AsyncIterator[None]:
    assert world.disk
    world.disk.fill()
    try:
        yield
    finally:
        world.disk.free()


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
    async with full(world):
        await until_full(world)
    print(f"healthy after {await world.server.ready(HEALED_SECONDS):.2f} s")  # noqa: T201
    again = await world.recorder.start(world.http, new_number())
    assert again.status == 201, again.body
    assert (await world.recorder.check(world.http, again, world.pin(again))).result == "approved"


async def test_sqlite_on_a_full_disk(migrated_sqlite: Path, vendor: Vendor, disk: Disk) -> None:
    async with on_sqlite(migrated_sqlite, vendor, disk.path) as world:
        world.disk = disk
        await fills_up(world)


async def test_postgresql_on_a_full_disk(vendor: Vendor, tmp_path: Path, disk: Disk) -> None:
    cluster = postgres.Cluster(postgres.find_binaries(), disk.path)
    try:
        url = cluster.create_database()
        migrate.upgrade(url)
        async with a_world(url, url, vendor, tmp_path) as world:
            world.disk = disk
            await fills_up(world)
    finally:
        cluster.stop()
