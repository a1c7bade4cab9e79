"""Databases that can fail: the connection between the service and its data, and each fault as a context manager."""

import os
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from otp_service.database import migrate
from tests.faults.disks import Disk
from tests.faults.proxy import Proxy, proxy
from tests.support import postgres


@dataclass
class Backend:
    """A migrated database. `url` bypasses the network that can fail; the server under test uses `served`."""

    url: str
    served: str
    cluster: postgres.Cluster | None = None
    network: Proxy | None = None
    disk: Disk | None = None


Fault = Callable[[Backend], AbstractAsyncContextManager[None]]


def sturdy_cluster() -> postgres.Cluster:
    """Yields a PostgreSQL that loses no commit, with an account that is no superuser and so can be rejected."""
    cluster = postgres.Cluster(postgres.find_binaries(), synchronous_commit="on")
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE service LOGIN")
    return cluster


@asynccontextmanager
async def on_postgres(cluster: postgres.Cluster) -> AsyncIterator[Backend]:
    """Yields a database behind a network that can fail."""
    url = cluster.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("GRANT ALL ON SCHEMA public TO service")
    migrate.upgrade(url.replace(f"{postgres.ROLE}@", "service@"))
    async with proxy(cluster.directory / ".s.PGSQL.5432") as network:
        served = f"postgresql://service@127.0.0.1:{network.port}/{_name_of(url)}"
        yield Backend(url, served, cluster, network)


def on_sqlite(template: Path, folder: Path) -> Backend:
    """Copies the migrated file `template` into `folder`."""
    url = f"sqlite:///{shutil.copy(template, folder / 'faults.db')}"
    return Backend(url, url)


def _name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@asynccontextmanager
async def restarting(backend: Backend) -> AsyncIterator[None]:
    """PostgreSQL crashes, stays away, and recovers."""
    assert backend.cluster
    backend.cluster.kill()
    try:
        yield
    finally:
        backend.cluster.start()  # not in a thread: it would end with that


@asynccontextmanager
async def stopped_in_its_tracks(backend: Backend) -> AsyncIterator[None]:
    """Stops every process of PostgreSQL with SIGSTOP."""
    assert backend.cluster
    assert backend.cluster.pid
    pids = [backend.cluster.pid, *children(backend.cluster.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def children(pid: int) -> list[int]:
    """Returns the ids of its child processes."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@asynccontextmanager
async def silent_network(backend: Backend) -> AsyncIterator[None]:
    """The network drops everything that is sent to the database."""
    assert backend.network
    backend.network.freeze()
    try:
        yield
    finally:
        backend.network.thaw()


@asynccontextmanager
async def cut_network(backend: Backend) -> AsyncIterator[None]:
    """The network resets every connection to the database."""
    assert backend.network
    backend.network.cut()
    try:
        yield
    finally:
        backend.network.mend()


@asynccontextmanager
async def read_only(backend: Backend) -> AsyncIterator[None]:
    """The database rejects writes."""
    with altered(backend.url, "SET default_transaction_read_only = on", "RESET default_transaction_read_only"):
        yield


@asynccontextmanager
async def no_more_connections(backend: Backend) -> AsyncIterator[None]:
    """The database rejects new connections."""
    with altered(backend.url, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1"):
        yield


@contextmanager
def altered(url: str, begin: str, end: str) -> Iterator[None]:
    """Alters the database for new connections and closes the existing ones."""
    name = _name_of(url)
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
async def locked(backend: Backend) -> AsyncIterator[None]:
    """Another process holds SQLite's write lock."""
    holder = sqlite3.connect(backend.url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.close()


@asynccontextmanager
async def full(backend: Backend) -> AsyncIterator[None]:
    """Fills the disk of the database."""
    assert backend.disk
    backend.disk.fill()
    try:
        yield
    finally:
        backend.disk.free()
