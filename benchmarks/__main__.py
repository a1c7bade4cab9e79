"""`./run bench`: everything of docs/performance.md, as a table and as a JSON file. `--help` says how to have less."""

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks import checks, machine, seed, servers, start_up, starts
from benchmarks.bench import Bench
from benchmarks.gateway import gateway
from benchmarks.servers import DEFAULT_ARGON2, Database

VERIFICATIONS = 256
RESULTS = Path(__file__).parent / "results"

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
    if unknown := set(databases.split(",")) - {"sqlite", "postgresql"}:
        raise click.BadParameter(f"There is no database {', '.join(sorted(unknown))}.", param_hint="--databases")
    if unknown := chosen - set(PARTS):
        raise click.BadParameter(f"There is no part {', '.join(sorted(unknown))}.", param_hint="--only")
    with tempfile.TemporaryDirectory() as folder, gateway(0.0) as base_url:
        bench = Bench(Path(folder), seconds, [int(each) for each in connections.split(",")])
        raw_before = machine.raw_hash_rate(DEFAULT_ARGON2)
        bench.note("raw Argon2id before", per_second=raw_before)
        start_up.of_the_machine(bench)
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
        "start_up": lambda: start_up.start_up(bench, database, base_url),
        "checks": lambda: checks.rates(bench, database, base_url, seeded),
        "replicas": lambda: checks.replicas(bench, database, base_url, seeded),
        "beside_the_hash": lambda: checks.beside_the_hash(bench, database, base_url, seeded),
        "starts": lambda: starts.rates(bench, database, base_url, seeded),
        "in_flight": lambda: starts.in_flight(bench, database, seeded),
        "overload": lambda: checks.overload(bench, database, base_url, seeded),
    }
    for name, part in parts.items():
        if name in only:
            part()
    if old and "old_rows" in only:
        checks.old_rows(bench, database, base_url, seeded, old)


if __name__ == "__main__":
    main()
