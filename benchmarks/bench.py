"""One run of the benchmarks: its shared parts and its rows."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks import load, machine
from benchmarks.load import Load
from benchmarks.servers import DEFAULT_ARGON2, Database

WRONG = b'{"pin": "271828"}'
RAW_SECONDS = 2.0
Row = dict[str, Any]


class Bench:
    """One run: its rows and its tools."""

    def __init__(self, folder: Path, seconds: float, connections: list[int]) -> None:
        self.folder = folder
        self.seconds = seconds
        self.connections = connections
        self.rows: list[Row] = []
        self._numbers = itertools.count()

    def note(self, what: str, **values: Any) -> None:
        """Adds a row to the result."""
        self.rows.append({"what": what, **values})
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
        click.echo(f"{what:<44} {shown}")

    def checks(self, api_key: str, ids: list[str]) -> Iterator[bytes]:
        """Returns requests for wrong checks, one verification after another."""
        for each in itertools.cycle(ids):
            yield load.request("POST", f"/v1/verifications/{each}/checks", api_key, WRONG)

    def starts(self, api_key: str) -> Iterator[bytes]:
        """Returns requests for starts, each for a new number."""
        for index in self._numbers:
            body = json.dumps({"to": f"+57302{index:07d}", "purpose": "signup"}).encode()
            yield load.request("POST", "/v1/verifications", api_key, body)

    @contextmanager
    def beside_raw(self, row: Row) -> Iterator[None]:
        """Measures the raw hash rate around the block, and adds `over_raw_hashes` to the row's `per_second`."""
        before = machine.raw_hash_rate(DEFAULT_ARGON2, RAW_SECONDS)
        yield
        raw = (before + machine.raw_hash_rate(DEFAULT_ARGON2, RAW_SECONDS)) / 2
        row["over_raw_hashes"] = row["per_second"] / raw

    def run(self, port: int, requests: Iterator[bytes], connections: int, **more: Any) -> Load:
        """Runs a load against a port."""
        return asyncio.run(load.run(port, requests, connections=connections, seconds=self.seconds, **more))


def _shown(value: Any) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 100
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def latency(done: Load, status: int = 200) -> Row:
    """Returns the latency of the responses with a status."""
    return {"p50_ms": done.percentile(status, 0.5), "p99_ms": done.percentile(status, 0.99)}


def _spent(pid: int, database: Database) -> tuple[float, float]:
    return machine.cpu_seconds(pid), machine.cpu_seconds(database.pid) if database.pid else 0.0


def costs(
    bench: Bench, what: str, database: Database, pid: int, port: int, requests: Iterator[bytes], status: int
) -> None:
    """Adds a row per number of connections: the CPU time of an operation, in the service and in the database server."""
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
            **latency(done, status),
        )
