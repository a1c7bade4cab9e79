"""`otp-service serve` as a process: workers, stops, crashes, a database that goes away, keys that change."""

import asyncio
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from otp_service.database import migrate
from otp_service.vault import generate_key_entry
from tests.support import postgres
from tests.support.api_keys import new_key
from tests.support.processes import Running, ok, replicas, run, service_settings, serving, wait_for
from tests.support.service import SECRET_KEYS, Api, new_number, wrong
from tests.support.vendor import Vendor


def http(server: Running) -> httpx.AsyncClient:
    """A client of a server."""
    return httpx.AsyncClient(base_url=server.url, timeout=30)


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database."""
    shutil.copy(migrated_sqlite, tmp_path / "otp.db")
    return f"sqlite:///{tmp_path / 'otp.db'}"


@pytest.fixture
def cores_allowed() -> Iterator[None]:
    """A process that is started now may dump its memory, unless it says no."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def workers_of(server: Running) -> list[int]:
    """The process ids of all workers that ever came up."""
    complete = server.text().count("Application startup complete")
    started = [line["event"] for line in server.log() if line["event"].startswith("Started server process")]
    return [int(event.rstrip("]").partition("[")[2]) for event in started][:complete]


@pytest.mark.long
@pytest.mark.usefixtures("cores_allowed")
async def test_two_workers_serve_on_one_port_and_count_together(sqlite_url: str, vendor: Vendor) -> None:
    key = await new_key(sqlite_url, "app")
    with serving(service_settings(sqlite_url, vendor), "--workers", "2") as server:
        server.wait_for(lambda: len(workers_of(server)) == 2)
        for pid in (server.process.pid, *workers_of(server)):
            assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        async with http(server) as client:
            api = Api(client, key)
            verification = await api.start()
            pin = vendor.messages(verification["to"])[0]["pin"]
            reads = [api.read(verification["id"]) for _ in range(60)]
            assert {read["status"] for read in await asyncio.gather(*reads)} == {"pending"}
            checks = await asyncio.gather(*(api.check(verification["id"], pin) for _ in range(20)))
            assert checks.count("approved") == 1
            counted = 'otp_http_requests_total{method="GET",route="/v1/verifications/{id}",status="200"} 60.0'
            for _ in range(6):
                async with http(server) as other:
                    assert counted in (await other.get("/metrics")).text


@pytest.fixture
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL that may be killed."""
    own = postgres.Cluster(postgres.find_binaries())
    yield own
    own.stop()


@pytest.mark.long
async def test_a_worker_that_dies_while_the_database_is_away_is_replaced_and_heals(
    cluster: postgres.Cluster, vendor: Vendor
) -> None:
    url = cluster.create_database()
    migrate.upgrade(url)
    key = await new_key(url, "app")
    with serving(service_settings(url, vendor), "--workers", "2") as server:
        server.wait_for(lambda: len(workers_of(server)) == 2)
        cluster.kill()
        os.kill(workers_of(server)[0], signal.SIGKILL)
        server.wait_for(lambda: len(workers_of(server)) == 3)
        assert not server.is_ready()
        cluster.start()
        await asyncio.wait_for(asyncio.to_thread(server.wait_for, lambda: all_are_ready(server)), 30)
        async with http(server) as client:
            await Api(client, key).start()


def all_are_ready(server: Running) -> bool:
    """Whether so many connections in a row are answered 200 that each worker was among them."""
    return all(server.is_ready() for _ in range(20))


@pytest.mark.long
def test_workers_end_with_a_parent_that_was_killed(sqlite_url: str, vendor: Vendor) -> None:
    with serving(service_settings(sqlite_url, vendor), "--workers", "2") as server:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        wait_for(server.group_is_gone)


@pytest.mark.long
async def test_a_stop_lets_a_start_end_that_waits_for_the_gateway(sqlite_url: str, vendor: Vendor) -> None:
    key = await new_key(sqlite_url, "app")
    to = new_number()
    with serving(service_settings(sqlite_url, vendor)) as server:
        async with http(server) as client:
            vendor.fail("pin", "slow", seconds=2)
            start = asyncio.create_task(Api(client, key).try_start(to))
            await vendor.delivered(to)
            server.process.send_signal(signal.SIGTERM)
            answer = await start
        assert answer.status_code == 201
        assert answer.json()["delivery"]["status"] == "sent"
        assert await asyncio.to_thread(server.process.wait, 10) == 0
        assert server.log()[-1]["event"].startswith("Finished server process")


@pytest.mark.long
async def test_an_idle_server_stops_at_once_although_a_client_keeps_its_connection(
    sqlite_url: str, vendor: Vendor
) -> None:
    with serving(service_settings(sqlite_url, vendor)) as server:
        async with http(server) as client:
            assert (await client.get("/livez")).status_code == 200
            begun = time.monotonic()
            assert await asyncio.to_thread(server.stop, signal.SIGINT) == 0
            assert time.monotonic() - begun < 5


@pytest.mark.long
async def test_a_crash_in_the_middle_of_a_send_repeats_nothing(database_url: str, vendor: Vendor) -> None:
    key = await new_key(database_url, "app")
    to = new_number()
    settings = service_settings(database_url, vendor)
    with serving(settings) as server:
        async with http(server) as client:
            vendor.fail("pin", "slow", seconds=20)
            start = asyncio.create_task(Api(client, key).try_start(to))
            await vendor.delivered(to)
            server.kill()
            with pytest.raises(httpx.TransportError):
                await start
    with serving(settings) as server:
        async with http(server) as client:
            api = Api(client, key)
            again = await api.try_start(to)
            assert again.status_code == 200
            assert again.json()["delivery"] == {"status": "unknown", "route": "pin", "sent_at": None}
            (message,) = vendor.messages(to)
            assert await api.check(again.json()["id"], message["pin"]) == "no_pin"


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_secret_keys_rotate_while_replicas_run(database_url: str, vendor: Vendor) -> None:
    key = await new_key(database_url, "app")
    to, other, third = new_number(), new_number(), new_number()
    k1, k2 = SECRET_KEYS, generate_key_entry()
    appended, first = (
        service_settings(database_url, vendor, OTP_SECRET_KEYS=keys) for keys in (f"{k1},{k2}", f"{k2},{k1}")
    )
    with replicas(appended, first) as servers:
        async with http(servers[0]) as client:
            started = await Api(client, key).start(to, session="s")
        pin = vendor.messages(to)[0]["pin"]
        for server in servers:
            async with http(server) as client:
                api = Api(client, key)
                assert await api.check(started["id"], wrong(pin), session="s") == "incorrect"
                assert (await api.try_start(to, session="another")).json()["limit"] == "pause_per_number"
        async with http(servers[1]) as client:
            new = await Api(client, key).start(other)
        assert run("secrets", "rewrap", settings=first).code == 0
    rotated = service_settings(database_url, vendor, OTP_SECRET_KEYS=k2)
    too_early = service_settings(database_url, vendor, OTP_SECRET_KEYS=generate_key_entry())
    with replicas(rotated, too_early) as servers:
        async with http(servers[0]) as client:
            api = Api(client, key)
            assert (await api.read(started["id"]))["to"] == to
            assert (await api.try_start(to, session="another")).json()["limit"] == "pause_per_number"
            assert "2 wrong in a row" in ok("budgets", "show", to, settings=rotated)
            assert await api.check(new["id"], vendor.messages(other)[0]["pin"]) == "approved"
        async with http(servers[1]) as client:
            api = Api(client, key)
            assert (await api.read(started["id"]))["to"] is None
            assert await api.check(started["id"], pin, session="s") == "incorrect"
            assert (await api.resend(started["id"])).status_code < 500
            fresh = await api.start(third)
            assert await api.check(fresh["id"], vendor.messages(third)[0]["pin"]) == "approved"
