"""More requests than the machine can hash: a crowd at once, and ten times the load for as long as a run lasts."""

import asyncio
import itertools
from collections.abc import Iterator

from benchmarks import load, machine, seed, servers
from benchmarks.bench import RAW_SECONDS, Bench, Row, latency
from benchmarks.load import Load
from benchmarks.servers import DEFAULT_ARGON2, Database

CROWD = 100
CALLERS = 500
TIMES = 10
SECONDS_OF_ACCEPTED = 2.5
"""About how long a caller waits for a response with a hash during overload."""
LIVEZ_PACE = 0.05
WARM_UP = 6.0


def crowd(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Sends one request of each of 100 callers at once to an idle server: checks, then starts."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    with servers.serving(environment) as (_, port, _):
        for what, status, requests in _kinds(bench, seeded):
            bench.run(port, itertools.islice(requests, 20), 2)  # so that the server knows how long a hash takes
            once = itertools.islice(requests, CROWD)
            done = asyncio.run(load.run(port, once, connections=CROWD, seconds=30))
            row: Row = {"accepted": done.statuses[status], "refused": done.statuses[load.OVERLOADED]}
            bench.note(f"{database.name}: {what}, {CROWD} at once", **row, **latency(done, status))


def overload(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Sends ten times as many requests as the machine can hash, checks or starts, beside calls of `/livez`."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    for what, status, requests in _kinds(bench, seeded):
        with servers.serving(environment) as (_, port, _):
            raw = machine.raw_hash_rate(DEFAULT_ARGON2, RAW_SECONDS)
            done, livez = asyncio.run(_beside_livez(bench, port, requests, _pace(raw)))
        bench.note(
            f"{database.name}: overload of {what}",
            raw_per_second=raw,
            asked_per_second=sum(done.statuses.values()) / done.seconds,
            accepted_per_second=done.rate(status),
            accepted_p99_ms=done.percentile(status, 0.99),
            refused_p50_ms=done.percentile(load.OVERLOADED, 0.5),
            refused_p99_ms=done.percentile(load.OVERLOADED, 0.99),
            livez_p99_ms=livez.percentile(200, 0.99),
        )


def _kinds(bench: Bench, seeded: seed.Seeded) -> list[tuple[str, int, Iterator[bytes]]]:
    checks, starts = bench.checks(seeded.api_key, seeded.verification_ids), bench.starts(seeded.api_key)
    return [("checks", 200, checks), ("starts", 201, starts)]


def _pace(raw: float) -> float:
    """Returns the rest of a caller between two requests, with which all together ask `TIMES` times the raw rate."""
    return max(0.0, (CALLERS / raw - SECONDS_OF_ACCEPTED) / TIMES)


async def _beside_livez(bench: Bench, port: int, requests: Iterator[bytes], pace: float) -> tuple[Load, Load]:
    livez = itertools.repeat(load.request("GET", "/livez", "none"))
    return await asyncio.gather(
        load.run(port, requests, connections=CALLERS, seconds=bench.seconds, pace=pace, warm_up=WARM_UP),
        load.run(port, livez, connections=1, seconds=bench.seconds, pace=LIVEZ_PACE, warm_up=WARM_UP),
    )
