"""`otp-service serve` as a process: workers, stops, crashes, a database that goes away, keys that change."""

import asyncio
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from otp_service.vault import generate_key_entry
from tests.processes.test_replicas import new_key
from tests.support.processes import Running, ok, replicas, run, service_settings, serving
from tests.support.service import SECRET_KEYS, Api, new_number, wrong
from tests.support.vendor import Vendor


@contextmanager
def _statements(database_url: str) -> Iterator[Any]:
    """Runs SQL beside the service."""
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        yield connection.execute
        connection.close()
    else:
        with psycopg.connect(database_url, autocommit=True) as other:
            yield other.execute


def http(server: Running) -> httpx.AsyncClient:
    """A client of a server."""
    return httpx.AsyncClient(base_url=server.url, timeout=30)


async def until(condition: Any, seconds: float = 10) -> None:
    """Waits until the coroutine function answers with something true."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database."""
    shutil.copy(migrated_sqlite, tmp_path / "otp.db")
    return f"sqlite:///{tmp_path / 'otp.db'}"


async def test_two_workers_serve_on_one_port_and_count_together(sqlite_url: str, vendor: Vendor) -> None:
    key = await new_key(sqlite_url, "app")
    with serving(service_settings(sqlite_url, vendor), "--workers", "2") as server:
        started = sum(line["event"].startswith("Started server process") for line in server.log())
        assert started == 2
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
        assert server.stop() == 0
        assert server.group_is_gone()


async def test_workers_end_with_a_parent_that_was_killed(sqlite_url: str, vendor: Vendor) -> None:
    with serving(service_settings(sqlite_url, vendor), "--workers", "2") as server:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()

        async def gone() -> bool:
            return server.group_is_gone()

        await until(gone, 20)


async def test_a_stop_lets_a_start_end_that_waits_for_the_gateway(sqlite_url: str, vendor: Vendor) -> None:
    key = await new_key(sqlite_url, "app")
    to = new_number()
    with serving(service_settings(sqlite_url, vendor)) as server:
        async with http(server) as client:
            vendor.fail("pin", "slow", seconds=2)
            start = asyncio.create_task(Api(client, key).try_start(to))
            await until(lambda: asyncio.to_thread(vendor.messages, to))
            server.process.send_signal(signal.SIGTERM)
            answer = await start
        assert answer.status_code == 201
        assert answer.json()["delivery"]["status"] == "sent"
        assert await asyncio.to_thread(server.process.wait, 10) == 0
        assert server.log()[-1]["event"].startswith("Finished server process")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_server_stops_at_once_although_a_client_keeps_its_connection(
    sqlite_url: str, vendor: Vendor, how: signal.Signals
) -> None:
    with serving(service_settings(sqlite_url, vendor)) as server:
        async with http(server) as client:
            assert (await client.get("/livez")).status_code == 200
            begun = time.monotonic()
            assert await asyncio.to_thread(server.stop, how) == 0
            assert time.monotonic() - begun < 5


async def test_a_crash_in_the_middle_of_a_send_repeats_nothing(database_url: str, vendor: Vendor) -> None:
    key = await new_key(database_url, "app")
    to = new_number()
    settings = service_settings(database_url, vendor)
    with serving(settings) as server:
        async with http(server) as client:
            vendor.fail("pin", "slow", seconds=20)
            start = asyncio.create_task(Api(client, key).try_start(to))
            await until(lambda: asyncio.to_thread(vendor.messages, to))
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


async def ready_states(client: httpx.AsyncClient) -> tuple[int, int, dict[str, str]]:
    """The statuses of /livez and /readyz, and what the latter says."""
    alive, ready = await client.get("/livez"), await client.get("/readyz")
    return alive.status_code, ready.status_code, ready.json()


async def test_without_its_schema_or_a_database_to_write_to_it_lives_but_is_not_ready(
    database_url: str, vendor: Vendor
) -> None:
    key = await new_key(database_url, "app")
    with serving(service_settings(database_url, vendor)) as server, _statements(database_url) as execute:
        async with http(server) as client:
            execute("ALTER TABLE alembic_version RENAME TO elsewhere")
            assert (await ready_states(client))[:2] == (200, 503)
            execute("ALTER TABLE elsewhere RENAME TO alembic_version")
            assert (await ready_states(client))[:2] == (200, 200)
            if database_url.startswith("postgresql"):
                await _read_only(client, Api(client, key), database_url)


async def _read_only(client: httpx.AsyncClient, api: Api, database_url: str) -> None:
    name = sql.Identifier(database_url.partition("?")[0].rpartition("/")[2])
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    switch = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(switch.format(name, sql.SQL("on")))
        connection.execute(cut)
        await until(lambda: _is(client, 503))
        alive, ready, found = await ready_states(client)
        assert (alive, ready, found["database"]) == (200, 503, "unavailable")
        refused = await api.try_start(new_number())
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(switch.format(name, sql.SQL("off")))
        connection.execute(cut)
        await until(lambda: _is(client, 200))
        await api.start()


async def _is(client: httpx.AsyncClient, status: int) -> bool:
    return (await client.get("/readyz")).status_code == status


async def test_secret_keys_rotate_while_replicas_run(database_url: str, vendor: Vendor) -> None:
    key = await new_key(database_url, "app")
    to, other = new_number(), new_number()
    k1, k2 = SECRET_KEYS, generate_key_entry()
    keys = (k1, f"{k1},{k2}", f"{k2},{k1}")
    in_turn = [service_settings(database_url, vendor, OTP_SECRET_KEYS=each) for each in keys]
    wrong_checks = 0
    with replicas(*in_turn) as servers:
        for server in servers:
            async with http(server) as client:
                api = Api(client, key)
                started = await api.start(to, session=f"s{wrong_checks}") if not wrong_checks else started
                pin = vendor.messages(to)[0]["pin"]
                assert await api.check(started["id"], wrong(pin), session="s0") == "incorrect"
                wrong_checks += 1
                assert (await api.try_start(to, session="another")).json()["limit"] == "pause_per_number"
        async with http(servers[2]) as client:
            unread = await Api(client, key).start(other)
        assert run("secrets", "rewrap", settings=in_turn[2]).code == 0
    only_k2 = service_settings(database_url, vendor, OTP_SECRET_KEYS=k2)
    only_k3 = service_settings(database_url, vendor, OTP_SECRET_KEYS=generate_key_entry())
    with replicas(only_k2, only_k3) as (rotated, too_early):
        async with http(rotated) as client:
            api = Api(client, key)
            assert (await api.read(started["id"]))["to"] == to
            assert (await api.try_start(to, session="another")).json()["limit"] == "pause_per_number"
            assert f"{wrong_checks} wrong in a row" in ok("budgets", "show", to, settings=only_k2)
            assert await api.check(unread["id"], vendor.messages(other)[0]["pin"]) == "approved"
        async with http(too_early) as client:
            api = Api(client, key)
            assert (await api.read(started["id"]))["to"] is None
            assert await api.check(started["id"], pin, session="s0") == "incorrect"
            assert (await api.resend(started["id"])).status_code < 500
            fresh = await api.start(third := new_number())
            assert await api.check(fresh["id"], vendor.messages(third)[0]["pin"]) == "approved"
