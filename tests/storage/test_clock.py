"""SQLite's time: one for all processes of a boot, and never before what it was."""

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.engine import Database
from otp_service.services.operations import retention
from otp_service.storage import clock, tables
from tests.support.service import Service, new_number, wrong

pytestmark = pytest.mark.both_databases

WALL, ELAPSED, HOUR = 1_000_000.0, 500.0, 3600.0


def now(tx: Connection, *, of_boot: str | None = "first", wall: float = WALL, elapsed: float = ELAPSED) -> float:
    """What time it is for a process that starts in this moment."""
    return clock.keep(tx, of_boot=of_boot, wall=wall, elapsed=elapsed) + elapsed


@pytest.fixture
def database(migrated: str) -> Database:
    return Database(migrated)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_the_wall_clock_counts_once_in_a_boot(database: Database, jump: float) -> None:
    def step(tx: Connection) -> tuple[float, float]:
        clock.forget(tx)
        return now(tx), now(tx, wall=WALL + jump + 7, elapsed=ELAPSED + 7)

    assert await database.write(step) == (WALL, WALL + 7)
    database.close()


@pytest.mark.parametrize("of_boot", ["second", None])
async def test_after_a_boot_time_goes_on_at_the_least(database: Database, of_boot: str | None) -> None:
    def step(tx: Connection) -> tuple[float, float]:
        clock.forget(tx)
        now(tx)
        back = now(tx, of_boot=of_boot, wall=WALL - HOUR, elapsed=1.0)
        return back, now(tx, of_boot="third", wall=WALL + HOUR, elapsed=1.0)

    assert await database.write(step) == (WALL, WALL + HOUR)
    database.close()


async def test_what_is_forgotten_is_taken_anew(database: Database) -> None:
    def step(tx: Connection) -> float:
        now(tx)
        clock.forget(tx)
        return now(tx, wall=WALL - HOUR)

    assert await database.write(step) == WALL - HOUR
    database.close()


async def test_without_a_boot_a_process_keeps_its_own_time(database: Database) -> None:
    def step(tx: Connection) -> float:
        mine = clock.keep(tx, of_boot=None, wall=WALL, elapsed=ELAPSED)
        again = clock.keep(tx, of_boot=None, wall=WALL + HOUR + 5, elapsed=ELAPSED + 5, mine=mine)
        return again - mine

    assert await database.write(step) == 0
    database.close()


async def test_what_was_noted_while_the_time_was_ahead_is_taken_back(service: Service) -> None:
    service.shift(300 * 86400)
    started = await service.api.start(to := new_number())
    for _ in range(5):
        await service.api.check(started["id"], wrong(service.pin(to)))
    assert await retention.round_of(service.ctx) is False
    service.shift(-300 * 86400)
    assert (await service.api.try_start(to)).json()["code"] == "rate_limited"
    await service.ctx.database.write(lambda tx: clock.repair(tx, service.ctx.clock.now()))
    assert (await service.api.try_start(to)).status_code == 201
    late = sa.select(tables.sweep_turn.c.due_at > service.ctx.clock.now())
    assert not await service.ctx.database.read(lambda tx: tx.scalar(late))
