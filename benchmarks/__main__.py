"""`./run bench`: the measurements of docs/performance.md, as a table and a JSON file. `--help` lists the options."""

import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks import checks, machine, overload, seed, servers, start_up, starts
from benchmarks.bench import Bench
from benchmarks.gateway import gateway
from benchmarks.servers import DEFAULT_ARGON2, Database

VERIFICATIONS = 256
RESULTS = Path(__file__).parent / "results"

PARTS = (
    "start_up",
    "checks",
    "replicas",
    "beside_the_hash",
    "starts",
    "guard",
    "in_flight",
    "crowd",
    "overload",
    "old_rows",
)
DATABASES = ("sqlite", "postgresql")


def _listed(allowed: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Splits names at commas. Returns all names if there are none."""

    def read(_: click.Context, __: click.Parameter, value: str) -> list[str]:
        names = list(filter(None, value.split(","))) or list(allowed)
        if unknown := set(names) - set(allowed):
            raise click.BadParameter(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(allowed)}.")
        return names

    return read


def _counts(_: click.Context, __: click.Parameter, value: str) -> list[int]:
    if not all(each.isascii() and each.isdigit() and int(each) for each in value.split(",")):
        raise click.BadParameter("Give whole numbers above zero with commas between them, as 1,8,32.")
    return [int(each) for each in value.split(",")]


@click.command()
@click.option(
    "--databases", default=",".join(DATABASES), show_default=True, callback=_listed(DATABASES), help="Which, in a row."
)
@click.option(
    "--seconds",
    default=8.0,
    show_default=True,
    type=click.FloatRange(0.5, 3600),
    help="Of each load; below 5 the rates say little.",
)
@click.option(
    "--connections",
    default="1,8,32,128",
    show_default=True,
    callback=_counts,
    help="Callers at once, in the parts checks, replicas and starts.",
)
@click.option(
    "--old",
    default=5_000_000,
    show_default=True,
    type=click.IntRange(0),
    help="Old verifications of the part old_rows; 0 leaves it out.",
)
@click.option("--only", default="", callback=_listed(PARTS), help=f"Parts: {', '.join(PARTS)}.  [default: all]")
def main(databases: list[str], seconds: float, connections: list[int], old: int, only: list[str]) -> None:
    """Measures the service on this machine, row by row, and writes all rows into a JSON file in benchmarks/results.

    A full run takes about twenty minutes, and one gigabyte of disk per million old rows. Nothing else should run
    meanwhile. docs/performance.md explains the rows.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended."))  # so that the servers are stopped as well
    with tempfile.TemporaryDirectory() as folder, gateway(0.0) as base_url:
        bench = Bench(Path(folder), seconds, connections)
        raw_before = machine.raw_hash_rate(DEFAULT_ARGON2)
        bench.note("raw Argon2id before", per_second=raw_before)
        start_up.of_the_machine(bench)
        with servers.databases(bench.folder, databases) as made:
            for database in made:
                _of(bench, database, base_url, old, only)
        bench.note("raw Argon2id after", per_second=machine.raw_hash_rate(DEFAULT_ARGON2))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(bench.rows, indent=1) + "\n")
    click.echo(f"written to {path.relative_to(RESULTS.parent.parent)}")


def _of(bench: Bench, database: Database, base_url: str, old: int, only: list[str]) -> None:
    seeded = seed.seed(database.url, DEFAULT_ARGON2, VERIFICATIONS)
    parts: dict[str, Callable[[], None]] = {
        "start_up": lambda: start_up.start_up(bench, database, base_url),
        "checks": lambda: checks.rates(bench, database, base_url, seeded),
        "replicas": lambda: checks.replicas(bench, database, base_url, seeded),
        "beside_the_hash": lambda: checks.beside_the_hash(bench, database, base_url, seeded),
        "starts": lambda: starts.rates(bench, database, base_url, seeded),
        "guard": lambda: starts.guard(bench, database, base_url, seeded),
        "in_flight": lambda: starts.in_flight(bench, database, seeded),
        "crowd": lambda: overload.crowd(bench, database, base_url, seeded),
        "overload": lambda: overload.overload(bench, database, base_url, seeded),
    }
    for name, part in parts.items():
        if name in only:
            part()
    if old and "old_rows" in only:
        checks.old_rows(bench, database, base_url, seeded, old)


if __name__ == "__main__":
    main()
