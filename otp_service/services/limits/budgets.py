"""The limits and waits of a number, for operators."""

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from otp_service.clock import Clock
from otp_service.config.policy.rates import Failures
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.services.limits.limits import FAILURES, OF_NUMBER
from otp_service.storage import numbers
from otp_service.storage.limits import buckets, failures
from otp_service.vault import Vault


@dataclass(frozen=True)
class Budget:
    """One limit or wait of a number. `left`: sends or checks that are free now; `free_at`: time of the next one."""

    limit: str
    scope: str
    left: int
    free_at: float
    checks: int | None = None


async def show(database: Database, vault: Vault, clock: Clock, policy: Failures, e164: str) -> list[Budget]:
    """Return all limits and waits of a number."""

    def step(tx: Connection) -> list[Budget]:
        number_id = numbers.find_id(tx, vault, e164)
        return [] if number_id is None else _budgets(tx, number_id, policy, clock.now())

    return await database.read(step)


def _budgets(tx: Connection, number_id: int, policy: Failures, now: float) -> list[Budget]:
    shown = []
    for bucket in buckets.of_number(tx, number_id, OF_NUMBER):
        limit, scope = buckets.limit_and_scope(bucket.key)
        left = buckets.left(arrival=bucket.arrival, interval=bucket.interval, window=bucket.tolerance, now=now)
        shown.append(Budget(limit, scope, left, max(now, bucket.free_at)))
    for row in failures.of_number(tx, number_id):
        scope = f"{row.client_id}:{row.purpose}"
        shown.append(Budget(FAILURES, scope, _checks_left(row, policy, now), max(now, row.waits_until), row.checks))
    return shown


def _checks_left(row: AnyRow, policy: Failures, now: float) -> int:
    """Return the checks that are free now: those before the first wait, then one after each wait."""
    return max(policy.free - int(row.checks), int(row.waits_until <= now))


async def clear(database: Database, vault: Vault, e164: str) -> int:
    """Lift every limit and wait of a number; return how many there were."""

    def step(tx: Connection) -> int:
        number_id = numbers.find_id(tx, vault, e164)
        if number_id is None:
            return 0
        return buckets.refill_number(tx, number_id, OF_NUMBER) + failures.clear_number(tx, number_id)

    return await database.write(step)
