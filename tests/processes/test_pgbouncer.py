"""Two servers on PostgreSQL through one PgBouncer in transaction mode, with fewer connections than they would take."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from otp_service.vault import generate_key_entry
from tests.processes.test_replicas import ATTEMPTS, at_once, becomes, pin_of
from tests.support import pgbouncer
from tests.support.api_keys import new_key
from tests.support.fleet import all_over, delivered, text_to
from tests.support.patience import PATIENCE
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Server
from tests.support.processes import Running, ok, replicas, service_settings, storage_settings, together
from tests.support.service import SECRET_KEYS, Api, new_number, wrong
from tests.support.vendor import Vendor

PROGRAM = pgbouncer.binary()
POOL_SIZE = 4
HASH_KEPT_SECONDS = 1
NEXT_KEY = generate_key_entry()

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer on this machine (Debian: pgbouncer)"),
]


@dataclass(frozen=True)
class Pooled:
    """Two replicas, the pooler that both go through, and the database by itself."""

    servers: list[Running]
    pooler: PgBouncer
    database_url: str


@pytest.fixture(scope="module")
def pooled(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Server, shared_vendor: Vendor
) -> Iterator[Pooled]:
    """The schema is made through it, by several at once, as everything else."""
    database_url = postgres_server.create_database()
    config = tmp_path_factory.mktemp("pooled") / "otp.toml"
    config.write_text(f"[purposes.signup]\nresend_after = [0]\n[retention]\nhash = {HASH_KEPT_SECONDS}\n")
    assert PROGRAM is not None
    with pgbouncer.pgbouncer(PROGRAM, database_url, POOL_SIZE) as pooler:
        settings = service_settings(
            pooler.url, shared_vendor, OTP_CONFIG_FILE=str(config), OTP_SECRET_KEYS=f"{SECRET_KEYS},{NEXT_KEY}"
        )
        together(*[lambda: ok("migrate", settings=storage_settings(pooler.url))] * 3)
        with replicas(settings, settings) as servers:
            yield Pooled(servers, pooler, database_url)
    postgres_server.drop_database(database_url)


@pytest.fixture
async def apis(pooled: Pooled) -> AsyncIterator[list[Api]]:
    """The same client application at each replica."""
    key = await new_key(pooled.pooler.url, f"app-{time.time_ns()}")
    async with AsyncExitStack() as stack:
        yield [
            Api(await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=60)), key)
            for server in pooled.servers
        ]


async def test_many_verifications_share_few_connections(apis: list[Api], pooled: Pooled, vendor: Vendor) -> None:
    async def verify(at: int) -> None:
        started = await apis[at % 2].start()
        pin = pin_of(vendor, started)
        assert await apis[at % 2].check(started["id"], wrong(pin)) == "incorrect"
        assert (await apis[1 - at % 2].resend(started["id"])).status_code == 200
        assert await apis[1 - at % 2].check(started["id"], pin_of(vendor, started)) == "approved"
        assert (await apis[at % 2].events(started["id"]))[-1]["type"] == "approved"

    for _ in range(4):
        await asyncio.gather(*(verify(at) for at in range(3 * POOL_SIZE)))
    assert 0 < pooled.pooler.servers() <= POOL_SIZE


async def test_of_50_checks_at_once_as_many_as_there_are_attempts_are_evaluated(
    apis: list[Api], vendor: Vendor
) -> None:
    for _ in range(3):
        started = await apis[0].start()
        pin = pin_of(vendor, started)
        results = await at_once(apis, started["id"], [wrong(pin)] * 50)
        assert results == {"incorrect": ATTEMPTS, "exhausted": 50 - ATTEMPTS}
        assert await apis[1].check(started["id"], pin) == "exhausted"


async def test_of_50_right_checks_at_once_one_is_approved(apis: list[Api], vendor: Vendor) -> None:
    for api in apis:
        started = await api.start()
        results = await at_once(apis, started["id"], [pin_of(vendor, started)] * 50)
        assert results.pop("approved") == 1
        assert set(results) <= {"already_approved", "exhausted"}


async def test_the_same_idempotency_key_20_times_at_once_sends_once(apis: list[Api], vendor: Vendor) -> None:
    body = {"to": new_number(), "purpose": "signup"}
    calls = (apis[at % 2].call("POST", "/v1/verifications", body, idempotency_key="k") for at in range(20))
    assert {answer.status_code for answer in await asyncio.gather(*calls)} <= {201, 409}
    again = await apis[1].call("POST", "/v1/verifications", body, idempotency_key="k")
    assert again.status_code == 201
    assert len(vendor.messages(body["to"])) == 1


async def test_each_notification_is_sent_once(apis: list[Api], pooled: Pooled, vendor: Vendor) -> None:
    numbers = [new_number() for _ in range(60)]
    bodies = ({"to": to, "text": text_to(to)} for to in numbers)
    posted = (apis[at % 2].call("POST", "/v1/notifications", body) for at, body in enumerate(bodies))
    assert {answer.status_code for answer in await asyncio.gather(*posted)} == {202}
    await all_over(pooled.database_url)
    counts = delivered(vendor)
    assert [counts[text_to(to)] for to in numbers] == [1] * len(numbers)


async def test_sweeps_go_on(apis: list[Api], pooled: Pooled, vendor: Vendor) -> None:
    started = await apis[0].start()
    assert await apis[0].check(started["id"], pin_of(vendor, started)) == "approved"
    left = "SELECT count(*) FROM sends WHERE verification_id = %s AND pin_hash IS NOT NULL"
    async with asyncio.timeout(PATIENCE), await psycopg.AsyncConnection.connect(pooled.database_url) as beside:
        await beside.set_autocommit(True)
        while await (await beside.execute(left, (started["id"],))).fetchone() != (0,):
            pass


async def test_secret_keys_rotate(apis: list[Api], pooled: Pooled, vendor: Vendor) -> None:
    started = await apis[0].start()
    ok("secrets", "rewrap", settings=storage_settings(pooled.pooler.url, OTP_SECRET_KEYS=f"{NEXT_KEY},{SECRET_KEYS}"))
    assert (await apis[1].read(started["id"]))["to"] == started["to"]
    again = await apis[1].start(started["to"])
    assert again["id"] == started["id"], "it is still the same number"
    assert await apis[0].check(started["id"], pin_of(vendor, started)) == "approved"


async def test_a_restart_of_the_pooler_heals_by_itself(apis: list[Api], pooled: Pooled, vendor: Vendor) -> None:
    started = await apis[0].start()
    pooled.pooler.kill()
    refused = await apis[0].try_check(started["id"], pin_of(vendor, started))
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    pooled.pooler.start()
    for api in apis:
        await becomes(api.http, 200)
    assert await apis[1].check(started["id"], pin_of(vendor, started)) == "approved"
    assert (await apis[0].start())["delivery"]["status"] == "sent"
