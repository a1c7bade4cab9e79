"""More load than the machine can take, with the real cost of a hash: who is refused, and that nothing is lost.

How long it takes is a matter of benchmarks: the tests share their machine.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from tests.faults.flood import Flood, Tally, percentile
from tests.faults.history import Call
from tests.faults.people import Recorder, client, id_of
from tests.faults.replica import Replica, fleet
from tests.faults.world import WITHOUT_CEILINGS, afterwards, faults_settings, judge
from tests.support.api_keys import new_key
from tests.support.service import new_number, wrong
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

ARGON2 = "m=19456,t=2,p=1"
FLOOD_SECONDS = 60.0
CONNECTIONS = 250
"""Of checks, and as many of starts."""
PAUSE_SECONDS = 0.5
"""After a refusal: 500 connections then make about 1,000 requests a second."""
VERIFICATIONS = 40
MOST_MEMORY_MB = 300
Following = Callable[[], tuple[str, dict[str, str], Call]]
MANY_ATTEMPTS = """
[limits.failures_per_number]
free = 1000
lock_after = 10000
[purposes.signup]
attempts = 100
"""
POLICY = WITHOUT_CEILINGS.replace("[purposes.signup]", MANY_ATTEMPTS)


async def waiting_people(recorder: Recorder, http: httpx.AsyncClient, vendor: Vendor) -> list[tuple[Call, str]]:
    """Verifications that are pending, each with a wrong PIN."""
    started = [await recorder.start(http, new_number()) for _ in range(VERIFICATIONS)]
    return [(each, wrong(vendor.messages(each.to)[0]["pin"])) for each in started]


def wrong_checks(people: list[tuple[Call, str]]) -> Following:
    """Makes one wrong check after the other."""
    turns = itertools.cycle(people)

    def check() -> tuple[str, dict[str, str], Call]:
        started, pin = next(turns)
        this = Call("check", None, to=started.to, verification_id=id_of(started), pin=pin)
        return f"/v1/verifications/{id_of(started)}/checks", {"pin": pin}, this

    return check


def starts(recorder: Recorder, purpose: str) -> Following:
    """Makes one start after the other, each to a new number."""

    def start() -> tuple[str, dict[str, str], Call]:
        recorder.numbers.add(to := new_number())
        return "/v1/verifications", {"to": to, "purpose": purpose}, Call("start", None, to=to)

    return start


async def watch(http: httpx.AsyncClient, times: list[float]) -> None:
    """Measures /livez again and again."""
    while True:
        begun = time.monotonic()
        assert (await http.get("/livez")).status_code == 200
        times.append(time.monotonic() - begun)
        await asyncio.sleep(0.05)


def peak_memory_mb(pid: int) -> float:
    """The most resident memory so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@pytest.fixture
async def served(database_url: str, vendor: Vendor, tmp_path: Path) -> AsyncIterator[tuple[Replica, Recorder]]:
    """A server with the default cost of a hash."""
    recorder = Recorder(await new_key(database_url, "app"))
    settings = faults_settings(database_url, vendor, tmp_path, POLICY, OTP_ARGON2=ARGON2)
    async with fleet(settings) as (server,):
        await server.comes_up()
        yield server, recorder


async def test_ten_times_the_load(served: tuple[Replica, Recorder], database_url: str, vendor: Vendor) -> None:
    server, recorder = served
    async with client(server.url) as http:
        people = await waiting_people(recorder, http, vendor)
        flood, livez = Flood(server.url, recorder.api_key, PAUSE_SECONDS), list[float]()
        watching = asyncio.create_task(watch(http, livez))
        until = time.monotonic() + FLOOD_SECONDS
        kinds = (wrong_checks(people), starts(recorder, "by_sms"))
        await asyncio.gather(*(flood.pour(kind, until) for _ in range(CONNECTIONS) for kind in kinds))
        watching.cancel()
        recorder.calls += flood.calls
        memory = peak_memory_mb(server.pid)
        calm = await recorder.check(http, *people[0])
    checks, started = Tally.of(flood.calls, "check"), Tally.of(flood.calls, "start")
    livez.sort()
    print(f"checks: {checks}\nstarts: {started}\nlivez p99 {percentile(livez, 0.99) * 1000:.0f} ms, {memory:.0f} MB")  # noqa: T201
    refusals = [call for call in flood.calls if call.status not in (200, 201)]
    # The simulated gateway is on the same cores: if it takes no connection, every route is refused.
    overloaded = [call for call in refusals if call.body["code"] != "gateway_failed"]
    assert {(call.status, call.body["code"]) for call in overloaded} == {(503, "overloaded")}
    assert all(int(call.retry_after or 0) >= 1 for call in overloaded)
    accepted, refused = sorted(checks.accepted + started.accepted), sorted(checks.refused + started.refused)
    assert percentile(refused, 0.5) < percentile(accepted, 0.5), "who is refused need not wait"
    assert percentile(livez, 0.5) < percentile(accepted, 0.5)
    assert len(checks.accepted) > len(started.accepted)
    assert memory < MOST_MEMORY_MB
    assert calm.status == 200
    async with afterwards(database_url, vendor, POLICY) as service:
        judge(recorder, vendor, database_url, service.ctx.vault)
