"""Prefixes that an operator always or never lets through; each process reads them every second."""

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.services.guard.state import Lists
from otp_service.storage.guard import lists

ALLOW, DENY = "allow", "deny"


@dataclass(frozen=True)
class Entry:
    """A prefix that is always or never let through. `until`: None if it does not end."""

    prefix: str
    verdict: str
    until: float | None
    note: str | None
    created_at: float


async def refresh(database: Database, clock: Clock, known: Lists) -> None:
    """Read the entries."""
    found = await database.read(lambda tx: lists.entries(tx, clock.now()))
    known.entries = {row.prefix: (row.verdict, row.until) for row in found}


async def put(
    database: Database, clock: Clock, prefix: str, verdict: str, *, until: float | None, note: str | None
) -> Entry | None:
    """Add an entry, or replace the one of the prefix; return the one that was replaced."""

    def step(tx: Connection) -> Entry | None:
        now = clock.now()
        replaced = lists.find(tx, prefix, now)
        lists.put(tx, prefix, verdict=verdict, until=until, note=note, now=now)
        lists.record_change(tx, verdict, prefix, note=note, now=now)
        return _entry(replaced) if replaced is not None else None

    return await database.write(step)


async def remove(database: Database, clock: Clock, prefix: str) -> bool:
    """Remove the entry of a prefix; False if there is none."""

    def step(tx: Connection) -> bool:
        removed = lists.remove(tx, prefix)
        if removed:
            lists.record_change(tx, "forget", prefix, now=clock.now())
        return removed

    return await database.write(step)


async def entries(database: Database, clock: Clock) -> list[Entry]:
    """Return the entries that count now, by prefix."""
    rows = await database.read(lambda tx: lists.entries(tx, clock.now()))
    return [_entry(row) for row in rows]


def _entry(row: AnyRow) -> Entry:
    return Entry(row.prefix, row.verdict, row.until, row.note, row.created_at)
