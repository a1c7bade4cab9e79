"""The table `buckets`: GCRA limits (ITU-T I.371), reserved all or none in one statement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow, insert_by, insert_into
from otp_service.storage.tables import buckets

b = buckets.c
_SLACK = 1e-6
"""Seconds: sums of doubles do not come out even."""
_FREE_AT = b.arrival + b.interval - b.tolerance


@dataclass(frozen=True)
class Unit:
    """One unit of one bucket, which holds `burst` and gets another every `interval` seconds."""

    limit: str
    key: str
    interval: float
    burst: int

    @property
    def window(self) -> float:
        """Return the seconds in which an empty bucket is full again."""
        return self.interval * self.burst


@dataclass(frozen=True)
class Reserved:
    """A unit that was reserved. `arrival`: when the bucket is full again if nothing else is reserved."""

    key: str
    interval: float
    arrival: float


@cache
def _reserve_statement(count: int) -> Compiled:
    return Compiled(lambda dialect: _reserve(insert_by(dialect), count))


def _reserve(insert: Callable[[sa.Table], Any], count: int) -> Any:
    """Return the statement for `count` buckets. The values of row 0 are bound as `key_0` and so on."""
    now = sa.bindparam("now", type_=sa.Double)
    columns = (b.key, b.arrival, b.interval, b.tolerance)
    rows = [sa.select(*(sa.bindparam(f"{c.name}_{row}", type_=c.type) for c in columns)) for row in range(count)]
    new = insert(buckets).from_select(columns, sa.union_all(*rows))
    start = sa.case((b.arrival > now, b.arrival), else_=now)
    arrival = start + new.excluded.interval
    return new.on_conflict_do_update(
        index_elements=[b.key],
        set_={"arrival": arrival, "interval": new.excluded.interval, "tolerance": new.excluded.tolerance},
        where=arrival <= now + new.excluded.tolerance + _SLACK,
    ).returning(b.key, b.interval, b.arrival)


def reserve(tx: Connection, units: Sequence[Unit], now: float) -> list[Reserved]:
    """Reserve each unit whose bucket has one. If any is missing, the caller rolls back.

    `arrival` is GCRA's theoretical arrival time: the moment at which the bucket is full again.
    """
    values: dict[str, Any] = {"now": now}
    for row, unit in enumerate(sorted(units, key=lambda unit: unit.key)):  # one order for all: no deadlock
        values |= {f"key_{row}": unit.key, f"arrival_{row}": now + unit.interval}
        values |= {f"interval_{row}": unit.interval, f"tolerance_{row}": unit.window}
    return [Reserved(row.key, row.interval, row.arrival) for row in _reserve_statement(len(units)).all(tx, values)]


def free_at(tx: Connection, keys: Sequence[str]) -> dict[str, float]:
    """Return when each bucket has its next unit, in seconds since the epoch."""
    statement = sa.select(b.key, _FREE_AT).where(b.key.in_(keys))
    return {row[0]: row[1] for row in tx.execute(statement)}


def left(*, arrival: float, interval: float, window: float, now: float) -> int:
    """Return how many units are left in a bucket that is full again at `arrival`."""
    return int((window - max(0.0, arrival - now) + _SLACK) // interval)


def release(tx: Connection, reserved: Sequence[Reserved], now: float) -> None:
    """Give units back, except for what has been refilled since."""
    owed = {unit.key: min(unit.interval, unit.arrival - now) for unit in reserved if unit.arrival > now}
    if not owed:
        return
    # Locked in the order of `reserve`: one UPDATE alone would lock them in any order.
    tx.execute(sa.select(b.key).where(b.key.in_(owed)).order_by(b.key).with_for_update())
    tx.execute(sa.update(buckets).where(b.key.in_(owed)).values(arrival=b.arrival - sa.case(owed, value=b.key)))


def refill(tx: Connection, key: str) -> None:
    """Fill one bucket."""
    tx.execute(sa.delete(buckets).where(b.key == key))


def of_number(tx: Connection, number_id: int, limits: Sequence[str]) -> Sequence[AnyRow]:
    """Return every bucket of a number, with when it has its next unit: `free_at`."""
    return tx.execute(sa.select(buckets, _FREE_AT.label("free_at")).where(_of_number(number_id, limits))).all()


def limit_and_scope(key: str) -> tuple[str, str]:
    """Return the limit of a key that begins with the limit and a number's id, and what comes after them."""
    limit, _, rest = key.split(":", 2)
    return limit, rest


def refill_number(tx: Connection, number_id: int, limits: Sequence[str]) -> int:
    """Fill every bucket of a number; return how many there were."""
    mine = _of_number(number_id, limits)
    tx.execute(sa.select(b.key).where(mine).order_by(b.key).with_for_update())
    return tx.execute(sa.delete(buckets).where(mine)).rowcount


def merge(tx: Connection, limits: Sequence[str], *, keep: int, drop: int) -> None:
    """Give the buckets of one row of a number to another row of it; of two of a kind the emptier one counts."""
    for bucket in of_number(tx, drop, limits):
        limit, rest = limit_and_scope(bucket.key)
        row = {"arrival": bucket.arrival, "interval": bucket.interval, "tolerance": bucket.tolerance}
        new = insert_into(tx, buckets).values(key=f"{limit}:{keep}:{rest}", **row)
        later = sa.case((b.arrival > new.excluded.arrival, b.arrival), else_=new.excluded.arrival)
        tx.execute(new.on_conflict_do_update(index_elements=[b.key], set_={"arrival": later}))
    refill_number(tx, drop, limits)


def _of_number(number_id: int, limits: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.or_(*(b.key.startswith(f"{limit}:{number_id}:", autoescape=True) for limit in limits))
