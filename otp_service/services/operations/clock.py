"""Sets the clock of this process by the database, so that all processes agree on the time."""

import time

from sqlalchemy.engine import Connection

from otp_service.clock import Clock, elapsed
from otp_service.database.engine import Database
from otp_service.storage import clock as stored_clock

MOST_MEASURING_SECONDS = 0.5
"""The server's time is off by at most half of this."""


async def synchronize(database: Database, clock: Clock) -> bool:
    """Set the clock; False if the server took too long to answer, and the clock stays as it is.

    PostgreSQL's own time counts. On SQLite it is the time that the processes of the machine share.
    """
    if database.is_sqlite:
        return await _share(database, clock)
    server_time, asked_at, answered_at = await database.read(_measure)
    if answered_at - asked_at > MOST_MEASURING_SECONDS:
        return False
    clock.anchor_to(server_time, (asked_at + answered_at) / 2)
    return True


async def _share(database: Database, clock: Clock) -> bool:
    def step(tx: Connection) -> float:
        return stored_clock.keep(
            tx, of_boot=stored_clock.boot(), wall=time.time(), elapsed=elapsed(), mine=clock.anchor
        )

    clock.anchor_to(await database.write(step), 0.0)
    return True


def _measure(tx: Connection) -> tuple[float, float, float]:
    stored_clock.server_time(tx)  # The connection is open and the transaction has begun: only the answer is measured.
    asked_at = elapsed()
    return stored_clock.server_time(tx), asked_at, elapsed()
