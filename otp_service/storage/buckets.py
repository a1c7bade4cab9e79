"""The table `buckets`: GCRA limits (ITU-T I.371), taken all or none in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.engine import insert_into
from otp_service.storage.tables import buckets

b = buckets.c


@dataclass(frozen=True)
class Take:
    """One unit of one bucket: `burst` at once, then one every `interval` seconds."""

    limit: str
    key: str
    interval: float
    burst: int


def take(tx: Connection, takes: Sequence[Take], now: float) -> set[str]:
    """Takes one unit of each bucket; the keys that had one. Fewer than asked: the caller rolls back.

    `arrival` is GCRA's theoretical arrival time: the moment at which the bucket is full again.
    """
    rows = [
        {"key": t.key, "arrival": now + t.interval, "interval": t.interval, "tolerance": t.interval * t.burst}
        for t in sorted(takes, key=lambda t: t.key)  # one order for all: no deadlock
    ]
    insert = insert_into(tx, buckets).values(rows)
    start = sa.case((b.arrival > now, b.arrival), else_=now)
    arrival = start + insert.excluded.interval
    statement = insert.on_conflict_do_update(
        index_elements=[b.key],
        set_={"arrival": arrival, "interval": insert.excluded.interval, "tolerance": insert.excluded.tolerance},
        # A microsecond of slack: sums of doubles do not come out even.
        where=arrival <= now + insert.excluded.tolerance + 1e-6,
    ).returning(b.key)
    return set(tx.execute(statement).scalars())


def free_at(tx: Connection, keys: Sequence[str]) -> dict[str, float]:
    """When each bucket has its next unit, in seconds since the epoch."""
    statement = sa.select(b.key, b.arrival + b.interval - b.tolerance).where(b.key.in_(keys))
    return {row[0]: row[1] for row in tx.execute(statement)}


def give_back(tx: Connection, keys: Sequence[str]) -> None:
    """Returns one unit of each bucket."""
    tx.execute(sa.update(buckets).where(b.key.in_(sorted(keys))).values(arrival=b.arrival - b.interval))


def of_number(tx: Connection, number_id: int, limits: Sequence[str]) -> list[dict[str, Any]]:
    """Every bucket of a number: key, arrival, interval, tolerance."""
    return [dict(row) for row in tx.execute(sa.select(buckets).where(_of_number(number_id, limits))).mappings()]


def clear_number(tx: Connection, number_id: int, limits: Sequence[str]) -> int:
    """Forgets every bucket of a number; how many there were."""
    return tx.execute(sa.delete(buckets).where(_of_number(number_id, limits))).rowcount


def _of_number(number_id: int, limits: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.or_(*(b.key.startswith(f"{limit}:{number_id}:", autoescape=True) for limit in limits))
