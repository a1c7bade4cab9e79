"""What checks are measured for."""

import asyncio
import time

from benchmarks import load, machine, seed, servers
from benchmarks.bench import Bench, Row, costs, latency
from benchmarks.load import Load
from benchmarks.servers import CHEAPEST_ARGON2, DEFAULT_ARGON2, Database


def rates(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Checks per second over the raw hash rate."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    with servers.serving(environment) as (server, port, _):
        for connections in bench.connections:
            row: Row = {}
            with bench.beside_raw(row):
                requests = bench.checks(seeded.api_key, seeded.verification_ids)
                done = bench.run(port, requests, connections, patient=True)
                row |= {"per_second": done.rate(200), "refused": done.statuses[503], **latency(done)}
            memory = machine.memory_mb(server.process.pid)
            bench.note(f"{database.name}: checks, {connections} connections", **row, mb=memory)


def replicas(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Checks per second of two servers on the same cores, with half of the callers each."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    with servers.serving(environment) as (_, first, _), servers.serving(environment) as (_, second, _):
        row: Row = {}
        requests = bench.checks(seeded.api_key, seeded.verification_ids)

        async def both() -> list[Load]:
            each = (load.run(port, requests, connections=4, seconds=bench.seconds) for port in (first, second))
            return await asyncio.gather(*each)

        with bench.beside_raw(row):
            done = asyncio.run(both())
            row["per_second"] = sum(each.rate(200) for each in done)
        row["p99_ms"] = max(each.percentile(200, 0.99) for each in done)
        bench.note(f"{database.name}: checks, two replicas, 8 connections", **row)


def beside_the_hash(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Processor time of a check with the cheapest hash, of the service and of the database's server."""
    environment = servers.settings(database, base_url, CHEAPEST_ARGON2, bench.folder)
    seed.rehash(database.url, CHEAPEST_ARGON2, seeded.verification_ids)
    requests = bench.checks(seeded.api_key, seeded.verification_ids)
    with servers.serving(environment) as (server, port, _):
        costs(bench, "checks beside the hash", database, server.process.pid, port, requests, 200)
    seed.rehash(database.url, DEFAULT_ARGON2, seeded.verification_ids)


def old_rows(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded, most: int) -> None:
    """The median check with 10 thousand old verifications and with many, at the default cost and beside the hash."""
    medians: dict[str, float] = {}
    first = 1
    for count in (10_000, most):
        begun = time.perf_counter()
        seed.add_old(database.url, seeded.client_id, first, count)
        first = count + 1
        bench.note(f"{database.name}: {count:,} old verifications added", seconds=time.perf_counter() - begun)
        for cost, what in ((DEFAULT_ARGON2, "checks"), (CHEAPEST_ARGON2, "checks beside the hash")):
            seed.rehash(database.url, cost, seeded.verification_ids)
            with servers.serving(servers.settings(database, base_url, cost, bench.folder)) as (_, port, _):
                done = bench.run(port, bench.checks(seeded.api_key, seeded.verification_ids), 1)
            median = done.percentile(200, 0.5)
            over = median / medians.setdefault(cost, median)
            bench.note(f"{database.name}: {what}, {count:,} old", p50_ms=median, over_10_thousand=over)
