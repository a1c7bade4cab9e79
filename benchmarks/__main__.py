"""`./run bench`: everything of docs/performance.md, as a table and as a JSON file. `--help` says how to have less."""

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks import load, machine, seed, servers
from benchmarks.gateway import gateway
from benchmarks.load import Load
from benchmarks.servers import CHEAPEST_ARGON2, DEFAULT_ARGON2, Database

VERIFICATIONS = 256
CALLERS = 1000
SETTLED_SECONDS = 12.0
"""By then those of the first burst who were refused have come back."""
WRONG = b'{"pin": "271828"}'
RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


class Bench:
    """One run: its rows, and what they are measured with."""

    def __init__(self, folder: Path, seconds: float, connections: list[int]) -> None:
        self.folder = folder
        self.seconds = seconds
        self.connections = connections
        self.rows: list[Row] = []
        self._numbers = itertools.count()

    def note(self, what: str, **values: Any) -> None:
        """A row of the result."""
        self.rows.append({"what": what, **values})
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
        click.echo(f"{what:<44} {shown}")

    def checks(self, api_key: str, ids: list[str]) -> Iterator[bytes]:
        """Wrong checks, of one verification after the other."""
        for each in itertools.cycle(ids):
            yield load.request("POST", f"/v1/verifications/{each}/checks", api_key, WRONG)

    def starts(self, api_key: str) -> Iterator[bytes]:
        """Starts, each of a number of its own."""
        for index in self._numbers:
            body = json.dumps({"to": f"+57302{index:07d}", "purpose": "signup"}).encode()
            yield load.request("POST", "/v1/verifications", api_key, body)

    def run(self, port: int, requests: Iterator[bytes], connections: int, **more: Any) -> Load:
        """A load against a port."""
        return asyncio.run(load.run(port, requests, connections=connections, seconds=self.seconds, **more))


def _shown(value: Any) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 100
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def _latency(done: Load, status: int = 200) -> Row:
    return {"p50_ms": done.percentile(status, 0.5), "p99_ms": done.percentile(status, 0.99)}


def of_the_machine(bench: Bench) -> None:
    """What does not depend on the database."""
    with servers.plain() as (pid, port):
        before = machine.cpu_seconds(pid)
        done = bench.run(port, bench.checks("otp_none", ["x"]), 32)
        spent = (machine.cpu_seconds(pid) - before) / done.statuses[200] * 1000
        bench.note("a plain Starlette endpoint", per_second=done.rate(200), cpu_s_per_1000=spent, **_latency(done))


def start_up(bench: Bench, database: Database, base_url: str) -> None:
    """From the command to ready, the best of three as of the bare imports, and what an idle process holds."""
    imports = servers.import_seconds()
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    times = []
    for _ in range(1 + 3):  # the first one writes the bytecode
        with servers.serving(environment) as (server, _, ready):
            times.append(ready)
            memory = machine.memory_mb(server.process.pid)
    ready = min(times)
    bench.note(f"{database.name}: start-up", ready_s=ready, over_bare_imports=ready / imports, idle_mb=memory)


def checks(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Checks per second over the raw hash rate, and what they cost beside the hash."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    with servers.serving(environment) as (server, port, _):
        for connections in bench.connections:
            raw = machine.raw_hash_rate(DEFAULT_ARGON2, 2)
            requests = bench.checks(seeded.api_key, seeded.verification_ids)
            done = bench.run(port, requests, connections, patient=True)
            raw = (raw + machine.raw_hash_rate(DEFAULT_ARGON2, 2)) / 2
            rate = done.rate(200)
            bench.note(
                f"{database.name}: checks, {connections} connections",
                per_second=rate,
                over_raw_hashes=rate / raw,
                refused=done.statuses[503],
                mb=machine.memory_mb(server.process.pid),
                **_latency(done),
            )


def replicas(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Checks per second of two servers on the same cores, with half of the callers each."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    with servers.serving(environment) as (_, first, _), servers.serving(environment) as (_, second, _):
        raw = machine.raw_hash_rate(DEFAULT_ARGON2, 2)
        requests = bench.checks(seeded.api_key, seeded.verification_ids)

        async def both() -> list[Load]:
            each = (load.run(port, requests, connections=4, seconds=bench.seconds) for port in (first, second))
            return await asyncio.gather(*each)

        done = asyncio.run(both())
        raw = (raw + machine.raw_hash_rate(DEFAULT_ARGON2, 2)) / 2
        rate = sum(each.rate(200) for each in done)
        p99 = max(each.percentile(200, 0.99) for each in done)
        bench.note(
            f"{database.name}: checks, two replicas, 8 connections",
            per_second=rate,
            over_raw_hashes=rate / raw,
            p99_ms=p99,
        )


def beside_the_hash(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Processor time of a check with the cheapest hash, of the service and of the database's server."""
    environment = servers.settings(database, base_url, CHEAPEST_ARGON2, bench.folder)
    seed.rehash(database.url, CHEAPEST_ARGON2, seeded.verification_ids)
    requests = bench.checks(seeded.api_key, seeded.verification_ids)
    with servers.serving(environment) as (server, port, _):
        _costs(bench, "checks beside the hash", database, server.process.pid, port, requests, 200)
    seed.rehash(database.url, DEFAULT_ARGON2, seeded.verification_ids)


def _spent(pid: int, database: Database) -> tuple[float, float]:
    return machine.cpu_seconds(pid), machine.cpu_seconds(database.pid) if database.pid else 0.0


def starts(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Starts per second with a gateway that answers at once, and what they cost beside the hash."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    with servers.serving(environment) as (_, port, _):
        for connections in bench.connections:
            raw = machine.raw_hash_rate(DEFAULT_ARGON2, 2)
            done = bench.run(port, bench.starts(seeded.api_key), connections, patient=True)
            raw = (raw + machine.raw_hash_rate(DEFAULT_ARGON2, 2)) / 2
            rate = done.rate(201)
            bench.note(
                f"{database.name}: starts, {connections} connections",
                per_second=rate,
                over_raw_hashes=rate / raw,
                refused=done.statuses[503],
                **_latency(done, 201),
            )
    environment = servers.settings(database, base_url, CHEAPEST_ARGON2, bench.folder)
    with servers.serving(environment) as (server, port, _):
        _costs(bench, "starts beside the hash", database, server.process.pid, port, bench.starts(seeded.api_key), 201)


def _costs(
    bench: Bench, what: str, database: Database, pid: int, port: int, requests: Iterator[bytes], status: int
) -> None:
    """Processor time of an operation, of the service and of the database's server."""
    for connections in (8, 32):
        before = _spent(pid, database)
        done = bench.run(port, requests, connections)
        after = _spent(pid, database)
        service, its_server = ((b - a) / done.statuses[status] * 1000 for a, b in zip(before, after, strict=True))
        bench.note(
            f"{database.name}: {what}, {connections} connections",
            cpu_s_per_1000=service + its_server,
            of_the_service=service,
            per_second=done.rate(status),
            **_latency(done, status),
        )


def in_flight(bench: Bench, database: Database, seeded: seed.Seeded) -> None:
    """1,000 callers with a gateway that takes 300 ms: all at once, then each with a start outstanding all the time.

    Who is refused waits for as long as `Retry-After` says, and up to a quarter longer.
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
                **_latency(burst, 201),
            )
            raw = machine.raw_hash_rate(DEFAULT_ARGON2, 2)
            requests = bench.starts(seeded.api_key)
            done = bench.run(port, requests, CALLERS, warm_up=SETTLED_SECONDS, patient=True)
            memory = machine.memory_mb(server.process.pid)
            raw = (raw + machine.raw_hash_rate(DEFAULT_ARGON2, 2)) / 2
            bench.note(
                f"{database.name}: 1,000 callers, 300 ms, Retry-After kept",
                per_second=done.rate(201),
                over_raw_hashes=done.rate(201) / raw,
                refused_per_second=done.rate(503),
                mb=memory,
                **_latency(done, 201),
            )


def overload(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded) -> None:
    """Half the load it can take, then ten times as much as it can."""
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    with servers.serving(environment) as (_, port, _):
        raw = machine.raw_hash_rate(DEFAULT_ARGON2, 2)
        calm = bench.run(port, bench.checks(seeded.api_key, seeded.verification_ids), 16, pace=32 / raw)
        # A burst is met with patience; this goes on for longer.
        done = bench.run(port, bench.checks(seeded.api_key, seeded.verification_ids), 500, pace=0.45, warm_up=6.0)
        bench.note(
            f"{database.name}: overload",
            half_load_per_second=calm.rate(200),
            half_load_p99_ms=calm.percentile(200, 0.99),
            asked_per_second=sum(done.statuses.values()) / done.seconds,
            accepted_per_second=done.rate(200),
            accepted_p99_ms=done.percentile(200, 0.99),
            over_half_load=done.percentile(200, 0.99) / calm.percentile(200, 0.99),
            refused_p99_ms=done.percentile(503, 0.99),
        )


def old_rows(bench: Bench, database: Database, base_url: str, seeded: seed.Seeded, most: int) -> None:
    """The median check with 10 thousand old verifications, and with many."""
    environment = servers.settings(database, base_url, CHEAPEST_ARGON2, bench.folder)
    seed.rehash(database.url, CHEAPEST_ARGON2, seeded.verification_ids)
    medians = []
    first = 1
    for count in (10_000, most):
        begun = time.perf_counter()
        seed.add_old(database.url, seeded.client_id, first, count)
        first = count + 1
        with servers.serving(environment) as (_, port, _):
            done = bench.run(port, bench.checks(seeded.api_key, seeded.verification_ids), 1)
        medians.append(done.percentile(200, 0.5))
        bench.note(
            f"{database.name}: {count:,} old verifications",
            p50_ms=medians[-1],
            over_10_thousand=medians[-1] / medians[0],
            seconds_to_add=time.perf_counter() - begun,
        )


PARTS = ("start_up", "checks", "replicas", "beside_the_hash", "starts", "in_flight", "overload", "old_rows")


@click.command()
@click.option("--databases", default="sqlite,postgresql", show_default=True)
@click.option("--seconds", default=8.0, show_default=True, help="Of each load.")
@click.option("--connections", default="1,8,32,128", show_default=True)
@click.option("--old", default=5_000_000, show_default=True, help="Old verifications; 0 leaves them out.")
@click.option("--only", default="", help=f"Parts by name: {','.join(PARTS)}.")
def main(databases: str, seconds: float, connections: str, old: int, only: str) -> None:
    """Measures; takes some twenty minutes, and as many gigabytes of disk as there are millions of old rows."""
    chosen = set(filter(None, only.split(","))) or set(PARTS)
    if unknown := chosen - set(PARTS):
        raise click.BadParameter(f"There is no part {', '.join(sorted(unknown))}.", param_hint="--only")
    with tempfile.TemporaryDirectory() as folder, gateway(0.0) as base_url:
        bench = Bench(Path(folder), seconds, [int(each) for each in connections.split(",")])
        raw_before = machine.raw_hash_rate(DEFAULT_ARGON2)
        bench.note("raw Argon2id before", per_second=raw_before)
        of_the_machine(bench)
        with servers.databases(bench.folder, databases.split(",")) as made:
            for database in made:
                _of(bench, database, base_url, old, chosen)
        bench.note("raw Argon2id after", per_second=machine.raw_hash_rate(DEFAULT_ARGON2))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(bench.rows, indent=1) + "\n")
    click.echo(f"written to {path.relative_to(RESULTS.parent.parent)}")


def _of(bench: Bench, database: Database, base_url: str, old: int, only: set[str]) -> None:
    seeded = seed.seed(database.url, DEFAULT_ARGON2, VERIFICATIONS)
    parts: dict[str, Callable[[], None]] = {
        "start_up": lambda: start_up(bench, database, base_url),
        "checks": lambda: checks(bench, database, base_url, seeded),
        "replicas": lambda: replicas(bench, database, base_url, seeded),
        "beside_the_hash": lambda: beside_the_hash(bench, database, base_url, seeded),
        "starts": lambda: starts(bench, database, base_url, seeded),
        "in_flight": lambda: in_flight(bench, database, seeded),
        "overload": lambda: overload(bench, database, base_url, seeded),
    }
    for name, part in parts.items():
        if name in only:
            part()
    if old and "old_rows" in only:
        old_rows(bench, database, base_url, seeded, old)


if __name__ == "__main__":
    main()
