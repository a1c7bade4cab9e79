"""Two server processes on one database: guessing, keys, metrics, and what the logs hold."""

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.processes.conftest import METRICS_TOKEN, Pair
from tests.support.api_keys import new_key
from tests.support.patience import PATIENCE
from tests.support.processes import ok
from tests.support.service import SECRET_KEYS, Api, new_number, wrong
from tests.support.vendor import PRIVATE_KEY, PUBLIC_KEY, Vendor

pytestmark = pytest.mark.long

ATTEMPTS = 5


@pytest.fixture
async def apis(pair: Pair) -> AsyncIterator[list[Api]]:
    """The same client application at each replica."""
    key = await new_key(pair.database_url, f"app-{time.time_ns()}")
    async with AsyncExitStack() as stack:
        yield [
            Api(await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=60)), key)
            for server in pair.servers
        ]


@contextmanager
def statements(database_url: str) -> Iterator[Any]:
    """Runs SQL beside the service."""
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        yield connection.execute
        connection.close()
    else:
        with psycopg.connect(database_url, autocommit=True) as other:
            yield other.execute


async def becomes(client: httpx.AsyncClient, status: int) -> None:
    """Waits until /readyz answers with this status."""
    async with asyncio.timeout(PATIENCE):
        while (await client.get("/readyz")).status_code != status:
            pass


async def at_once(apis: list[Api], verification_id: str, pins: list[str]) -> Counter[str]:
    """How often each result came, where all PINs are checked at the same time, at both replicas in turn."""
    checks = (apis[at % 2].check(verification_id, pin) for at, pin in enumerate(pins))
    return Counter(await asyncio.gather(*checks))


def pin_of(vendor: Vendor, started: dict[str, str]) -> str:
    """What the person got."""
    return str(vendor.messages(started["to"])[0]["pin"])


async def test_of_50_wrong_checks_at_once_as_many_as_there_are_attempts_are_evaluated(
    apis: list[Api], vendor: Vendor
) -> None:
    started = await apis[0].start()
    pin = pin_of(vendor, started)
    assert await at_once(apis, started["id"], [wrong(pin)] * 50) == {"incorrect": ATTEMPTS, "exhausted": 50 - ATTEMPTS}
    for api in apis:
        assert await api.check(started["id"], pin) == "exhausted"


async def test_of_50_right_checks_at_once_one_is_approved(apis: list[Api], vendor: Vendor) -> None:
    for api in apis:
        started = await api.start()
        results = await at_once(apis, started["id"], [pin_of(vendor, started)] * 50)
        assert results.pop("approved") == 1
        assert set(results) <= {"already_approved", "exhausted"}
        assert (await api.read(started["id"]))["status"] == "approved"


async def test_the_right_pin_among_49_wrong_ones_has_the_chance_of_any_other(apis: list[Api], vendor: Vendor) -> None:
    for seed in range(4):
        started = await apis[0].start()
        pin = pin_of(vendor, started)
        pins = [wrong(pin)] * 49 + [pin]
        random.Random(seed).shuffle(pins)
        results = await at_once(apis, started["id"], pins)
        assert results["approved"] + results["incorrect"] <= ATTEMPTS
        assert results["approved"] <= 1
        status = (await apis[1].read(started["id"]))["status"]
        assert status == ("approved" if results["approved"] else "exhausted")


async def test_a_start_at_one_replica_is_known_at_the_other(apis: list[Api], vendor: Vendor) -> None:
    to = new_number()
    answers = await asyncio.gather(*(apis[at % 2].try_start(to, session="s") for at in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len(vendor.messages(to)) == 1
    verification_id = answers[0].json()["id"]
    assert await apis[1].check(verification_id, pin_of(vendor, {"to": to}), session="s") == "approved"
    assert (await apis[0].read(verification_id))["status"] == "approved"


async def test_a_revoked_key_is_refused_within_5_seconds_at_both(apis: list[Api], pair: Pair) -> None:
    name = f"gone-{time.time_ns()}"
    key = await new_key(pair.database_url, name)
    clients = [Api(api.http, key) for api in apis]
    for client in clients:
        assert (await client.call("GET", "/v1/verifications/none")).status_code == 404
    ok("clients", "revoke", name, settings={"OTP_DATABASE_URL": pair.database_url})
    async with asyncio.timeout(5):
        for client in clients:
            while (await client.call("GET", "/v1/verifications/none")).status_code != 401:
                pass


async def test_the_calls_without_a_key_answer(apis: list[Api]) -> None:
    http = apis[0].http
    assert (await http.get("/livez")).json() == {"status": "ok"}
    ready = (await http.get("/readyz")).json()
    assert (ready["status"], ready["database"], ready["schema"]) == ("ok", "ok", "ok")
    assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.1")
    assert (await http.get("/docs")).status_code == 200
    assert "server" not in (await http.get("/livez")).headers


async def test_metrics_are_for_loopback_or_for_the_token(apis: list[Api]) -> None:
    http = apis[0].http
    assert "otp_http_requests_total" in (await http.get("/metrics")).text
    token = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        assert (await http.get("/metrics", headers={header: "127.0.0.1"})).status_code == 401
        assert (await http.get("/metrics", headers={header: "127.0.0.1", **token})).status_code == 200
        refused = await http.get("/metrics", headers={header: "127.0.0.1", "Authorization": "Bearer x"})
        assert refused.json()["code"] == "unauthorized"


async def test_the_logs_are_json_and_hold_no_secret(apis: list[Api], pair: Pair, vendor: Vendor) -> None:
    started = await apis[0].start(session="a-secret-session", subject="somebody", user_ip="203.0.113.77")
    to, pin = started["to"], pin_of(vendor, started)
    await apis[1].check(started["id"], wrong(pin), session="a-secret-session")
    await apis[1].try_check(started["id"], f" {pin}x ", session="a-secret-session")
    await apis[0].check(started["id"], pin, session="a-secret-session")
    failing = new_number()
    vendor.fail("*", "refuse", times=None)
    assert (await apis[0].try_start(failing)).status_code == 502
    vendor.recover()
    vendor.fail("*", "malformed")
    await apis[0].try_start(unknown := new_number())
    await apis[0].call("GET", f"/v1/verifications/{pin}?to={to}")
    pins = [message["pin"] for message in vendor.messages(unknown)]
    secrets = [
        *(pin, wrong(pin), *pins, *(number[1:] for number in (to, failing, unknown)), "/rest/api/", "203.0.113.77"),
        *(
            PRIVATE_KEY,
            PUBLIC_KEY,
            METRICS_TOKEN,
            apis[0].api_key[4:],
            SECRET_KEYS.partition(":")[2],
            "a-secret-session",
        ),
    ]
    for server in pair.servers:
        for secret in secrets:
            assert secret not in server.text(), f"{secrets.index(secret)} of the secrets is in the log"
        events = [line["event"] for line in server.log()]
        assert events[0] == "listening"
        assert "request" in events


async def ready_states(client: httpx.AsyncClient) -> tuple[int, int, dict[str, str]]:
    """The statuses of /livez and /readyz, and what the latter says."""
    alive, ready = await client.get("/livez"), await client.get("/readyz")
    return alive.status_code, ready.status_code, ready.json()


async def test_without_its_schema_or_a_database_to_write_to_it_lives_but_is_not_ready(
    apis: list[Api], pair: Pair
) -> None:
    client = apis[0].http
    with statements(pair.database_url) as execute:
        execute("ALTER TABLE alembic_version RENAME TO elsewhere")
        assert (await ready_states(client))[:2] == (200, 503)
        execute("ALTER TABLE elsewhere RENAME TO alembic_version")
        assert (await ready_states(client))[:2] == (200, 200)
    if pair.database_url.startswith("postgresql"):
        await _read_only(client, apis[0], pair.database_url)


async def _read_only(client: httpx.AsyncClient, api: Api, database_url: str) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    switch = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(switch.format(sql.Identifier(name), sql.SQL("on")))
        connection.execute(cut, (name,))
        await becomes(client, 503)
        alive, ready, found = await ready_states(client)
        assert (alive, ready, found["database"]) == (200, 503, "unavailable")
        refused = await api.try_start(new_number())
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(switch.format(sql.Identifier(name), sql.SQL("off")))
        connection.execute(cut, (name,))
        await becomes(client, 200)
        await api.start()
