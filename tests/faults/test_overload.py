"""Ten times the load it can take, with the real cost of a hash: what is accepted stays fast, the rest is refused fast,
checks go before starts, and nothing accepted is lost."""

import asyncio
import itertools
import time
from pathlib import Path

import httpx

from otp_service.hashing.admission import BURST_SECONDS, Rank
from otp_service.hashing.cores import usable_cores
from tests.faults.flood import Flood, Tally, percentile
from tests.faults.history import Call
from tests.faults.people import Recorder, client, id_of
from tests.faults.replica import fleet
from tests.faults.world import CONFIG, afterwards, faults_settings, judge
from tests.support.api_keys import new_key
from tests.support.service import new_number, wrong
from tests.support.vendor import Vendor

ARGON2 = "m=19456,t=2,p=1"
SECONDS, SECONDS_IN_LONG = 4.0, 120.0
CONNECTIONS = 80
"""Of checks, and as many of starts."""
VERIFICATIONS = 40
MANY_ATTEMPTS = """
[limits.failures_per_number]
free = 1000
lock_after = 10000
[purposes.signup]
attempts = 100
"""
GUESS_SECONDS = 0.03
"""What comes at once may wait as long as admission lets a burst, if a hash takes no longer than this."""
MOST_REFUSED_SECONDS = 1.0
MOST_LIVEZ_SECONDS = 1.0
"""Of the half of them: the load is made on the same cores, which have other work as well."""
MOST_MEMORY_MB = 250


async def waiting_people(recorder: Recorder, http: httpx.AsyncClient, vendor: Vendor) -> list[tuple[Call, str]]:
    """Verifications that are out, each with a PIN that is wrong."""
    started = [await recorder.start(http, new_number()) for _ in range(VERIFICATIONS)]
    return [(each, wrong(vendor.messages(each.to)[0]["pin"])) for each in started]


async def flooded(flood: Flood, recorder: Recorder, people: list[tuple[Call, str]], seconds: float) -> None:
    """Wrong checks and new starts, as many as the connections give."""
    turns = itertools.cycle(people)

    def check() -> tuple[str, dict[str, str], Call]:
        started, pin = next(turns)
        this = Call("check", None, to=started.to, verification_id=id_of(started), pin=pin)
        return f"/v1/verifications/{id_of(started)}/checks", {"pin": pin}, this

    def start() -> tuple[str, dict[str, str], Call]:
        recorder.numbers.add(to := new_number())
        return "/v1/verifications", {"to": to, "purpose": "by_sms"}, Call("start", None, to=to)

    until = time.monotonic() + seconds
    pours = [flood.pour(kind, until) for _ in range(CONNECTIONS) for kind in (check, start)]
    await asyncio.gather(*pours)
    recorder.calls += flood.calls


async def watched(http: httpx.AsyncClient, times: list[float]) -> None:
    """How long /livez takes, again and again."""
    while True:
        begun = time.monotonic()
        assert (await http.get("/livez")).status_code == 200
        times.append(time.monotonic() - begun)
        await asyncio.sleep(0.05)


def peak_memory_mb(pid: int) -> float:
    """Resident, at the most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def most_accepted_seconds(seconds: float, accepted: int) -> float:
    """A slow machine takes longer than it guesses at first, and a burst is taken by that guess."""
    a_hash = seconds * usable_cores() / max(1, accepted)
    return 1 + 1.5 * BURST_SECONDS[Rank.START] * max(1.0, a_hash / GUESS_SECONDS)


async def test_ten_times_the_load(database_url: str, vendor: Vendor, tmp_path: Path, long_form: bool) -> None:
    config, seconds = CONFIG.replace("[purposes.signup]", MANY_ATTEMPTS), SECONDS_IN_LONG if long_form else SECONDS
    recorder = Recorder(await new_key(database_url, "app"))
    settings = faults_settings(database_url, vendor, tmp_path, config, OTP_ARGON2=ARGON2)
    async with fleet(settings) as (server,), client(server.url) as http:
        await server.comes_up()
        people = await waiting_people(recorder, http, vendor)
        flood, livez = Flood(server.url, recorder.api_key), list[float]()
        watching = asyncio.create_task(watched(http, livez))
        await flooded(flood, recorder, people, seconds)
        watching.cancel()
        memory = peak_memory_mb(server.pid)
        calm = await recorder.check(http, *people[0])
    checks, starts = Tally.of(flood.calls, "check"), Tally.of(flood.calls, "start")
    livez.sort()
    print(f"checks: {checks}\nstarts: {starts}\nlivez p50 {percentile(livez, 0.5) * 1000:.0f} ms, {memory:.0f} MB")  # noqa: T201
    refusals = [call for call in flood.calls if call.status not in (200, 201)]
    # The simulated gateway is on the same cores: where it takes no connection, every route is refused.
    overloaded = [call for call in refusals if call.body["code"] != "gateway_failed"]
    assert {(call.status, call.body["code"]) for call in overloaded} == {(503, "overloaded")}
    assert all(int(call.retry_after or 0) >= 1 for call in overloaded)
    longest = most_accepted_seconds(seconds, len(checks.accepted) + len(starts.accepted))
    assert percentile(sorted(checks.accepted), 0.99) < longest
    assert percentile(sorted(starts.accepted), 0.99) < 2 * longest, "they take turns with checks"
    assert percentile(sorted(checks.refused + starts.refused), 0.5) < MOST_REFUSED_SECONDS
    assert percentile(livez, 0.5) < MOST_LIVEZ_SECONDS
    # As many connections ask for each.
    assert len(checks.accepted) > len(starts.accepted)
    # Within seconds the share says little: the sooner checks are answered, the more of them ask again and are refused.
    assert checks.share > starts.share or not long_form
    assert memory < MOST_MEMORY_MB
    assert calm.status == 200
    async with afterwards(database_url, vendor, config) as service:
        judge(recorder, vendor, database_url, service.ctx.vault)
