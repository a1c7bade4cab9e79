"""Many notifications through two servers on PostgreSQL that are killed at random: the rate, and no doubles.

.venv/bin/python -m benchmarks.outbox --count 100000 --kills 40
"""

import asyncio
import secrets
import time
from collections import Counter
from contextlib import ExitStack

import click

from otp_service.database import migrate
from otp_service.simulator import create_simulator
from tests.support import postgres
from tests.support.api_keys import new_key
from tests.support.fleet import Fleet, all_over, delivered, post_all, statuses, text_to
from tests.support.processes import service_settings
from tests.support.service import new_number
from tests.support.vendor import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY, Vendor, running_vendor

HOURS_SECONDS = 4 * 3600.0


@click.command()
@click.option("--count", default=100_000, help="How many notifications.")
@click.option("--kills", default=40, help="How often one of the servers is killed.")
@click.option("--pause", default=20.0, help="The longest time in seconds between two kills.")
@click.option("--answer", default=0.0, help="How many seconds the gateway takes for each.")
@click.option("--seed", default=None, type=int, help="Of the kills.")
def main(count: int, kills: int, pause: float, answer: float, seed: int | None) -> None:
    """Runs the benchmark and prints a table."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    server = postgres.start()
    simulator = create_simulator(INSTANCE_ID, PUBLIC_KEY, PRIVATE_KEY, kept=2 * count)
    try:
        url = server.create_database()
        migrate.upgrade(url)
        with running_vendor(simulator) as vendor:
            if answer:
                vendor.fail("sms", "slow", times=None, seconds=answer)
            asyncio.run(_run(url, vendor, count, kills, pause, seed))
    finally:
        server.stop()


async def _run(url: str, vendor: Vendor, count: int, kills: int, pause: float, seed: int) -> None:
    numbers = [new_number() for _ in range(count)]
    key = await new_key(url, "benchmark")
    with ExitStack() as stack:
        fleet = Fleet(service_settings(url, vendor), stack)
        fleet.start()
        began = time.monotonic()
        suffering = asyncio.create_task(fleet.suffer(seed, kills, pause))
        await post_all(fleet, key, numbers)
        posted = time.monotonic() - began
        await suffering
        await all_over(url, HOURS_SECONDS)
        seconds = time.monotonic() - began
    _show(await statuses(url), delivered(vendor), posted, seconds, fleet.kills, seed)


def _show(
    ended: list[tuple[str, str]], came: Counter[str], posted: float, seconds: float, kills: int, seed: int
) -> None:
    found = Counter(status for _, status in ended)
    times = Counter((status, came[text_to(to)]) for to, status in ended)
    rows = {
        "notifications": len(ended),
        "different numbers": len({to for to, _ in ended}),
        **dict(sorted(found.items())),
        "unknown, came": times["unknown", 1],
        "unknown, did not come": times["unknown", 0],
        "sent, did not come": times["sent", 0],
        "duplicates": sum(1 for count in came.values() if count > 1),
        "kills": kills,
        "seconds to post": round(posted),
        "seconds in all": round(seconds),
        "per second": round(len(ended) / seconds, 1),
        "seed": seed,
    }
    for name, value in rows.items():
        click.echo(f"{name:24}{value}")


if __name__ == "__main__":
    main()
