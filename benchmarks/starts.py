"""The measurements of starts."""

import asyncio
import itertools

from benchmarks import load, machine, seed, servers
from benchmarks.bench import Bench, Row, costs, latency
from benchmarks.gateway import gateway
from benchmarks.servers import CHEAPEST_ARGON2, DEFAULT_ARGON2, GUARD_OFF, GUARD_ON, NO_POLLING, Database

CALLERS = 1000
SETTLED_SECONDS = 12.0
"""By then those of the first burst who were refused have come back."""


def rates(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Measures starts per second with a gateway that answers at once, and their cost besides the hash."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    with servers.serving(environment) as (_, port, _):
        for connections in bench.connections:
            row: Row = {}
            with bench.beside_raw(row):
                done = bench.run(port, bench.starts(seeded.api_key), connections, patient=True)
                row |= {"per_second": done.rate(201), "refused": done.statuses[503], **latency(done, 201)}
            bench.note(f"{database.name}: starts, {connections} connections", **row)
    environment = servers.settings(database, base_url, CHEAPEST_ARGON2, bench.folder)
    with servers.serving(environment) as (server, port, _):
        costs(bench, "starts beside the hash", database, server.process.pid, port, bench.starts(seeded.api_key), 201)


def guard(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Measures what the guard adds to a start: `off` beside `enforce`, twice in turns, with the cheapest hash."""
    for name, policy in (("off", GUARD_OFF), ("enforce", GUARD_ON)) * 2:
        environment = servers.settings(database, base_url, CHEAPEST_ARGON2, bench.folder, policy + NO_POLLING)
        with servers.serving(environment) as (server, port, _):
            what = f"starts, guard {name}"
            alone = bench.run(port, bench.starts(seeded.api_key), 1)
            bench.note(f"{database.name}: {what}, 1 connection", **latency(alone, 201))
            costs(bench, what, database, server.process.pid, port, bench.starts(seeded.api_key), 201)


def in_flight(bench: Bench, database: Database, seeded: seed.Seeded) -> None:
    """Measures 1,000 callers with a gateway that takes 300 ms: all at once, then each with a start always in progress.

    A rejected caller waits for `Retry-After` and up to a quarter longer.
    """
    with gateway(0.3) as base_url:
        environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
        with servers.serving(environment) as (server, port, _):
            once = itertools.islice(bench.starts(seeded.api_key), CALLERS)
            burst = asyncio.run(load.run(port, once, connections=CALLERS, seconds=60))
            bench.note(
                f"{database.name}: 1,000 starts at once, 300 ms each",
                seconds=burst.seconds,
                started=burst.statuses[201],
                refused=burst.statuses[503],
                refused_p99_ms=burst.percentile(503, 0.99),
                **latency(burst, 201),
            )
            row: Row = {}
            with bench.beside_raw(row):
                requests = bench.starts(seeded.api_key)
                done = bench.run(port, requests, CALLERS, warm_up=SETTLED_SECONDS, patient=True)
                row |= {"per_second": done.rate(201), "refused_per_second": done.rate(503), **latency(done, 201)}
                row["mb"] = machine.memory_mb(server.process.pid)
            bench.note(f"{database.name}: 1,000 callers, 300 ms, Retry-After kept", **row)
