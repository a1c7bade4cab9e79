"""The table `inbound_cursor`: one row with the texts of the gateway's list that are known, and its next reading."""

import json
from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import insert_into
from otp_service.storage.tables import inbound_cursor

HURRIED_SECONDS = 1.0
"""The shortest time between two readings of the list, however many callbacks ask for one."""
_ID = 1
c = inbound_cursor.c


@dataclass(frozen=True)
class Cursor:
    """The known texts. `version` grows with each change; `recent`: fingerprints of the newest ones, the newest last.

    `list_read_at`: when the list was last read to its end, None if it never was.
    """

    version: int
    recent: list[str]
    list_read_at: float | None = None


def is_due(tx: Connection, now: float) -> bool:
    """Return whether the list should be read."""
    due_at = tx.scalar(sa.select(c.due_at).where(c.id == _ID))
    return due_at is None or due_at <= now


def claim(tx: Connection, now: float, every: float) -> Cursor | None:
    """Claim the next reading of the list for this process; return None if it is not due or another process has it."""
    insert = insert_into(tx, inbound_cursor).values(id=_ID, due_at=now + every, version=0, recent="[]")
    statement = insert.on_conflict_do_update(
        index_elements=[c.id], set_={"due_at": now + every}, where=c.due_at <= now
    ).returning(c.version, c.recent, c.looked_at)
    row = tx.execute(statement).first()
    return Cursor(row.version, json.loads(row.recent), row.looked_at) if row is not None else None


def extend(tx: Connection, due_at: float) -> None:
    """Keep other processes from beginning a reading while a long one is under way."""
    tx.execute(sa.update(inbound_cursor).where(c.id == _ID).values(due_at=due_at))


def end_reading(tx: Connection, *, now: float, every: float, complete: bool) -> None:
    """Record that a reading has ended, so that the next one is due. `complete`: all that is new was applied."""
    due_at = sa.case((c.due_at > now + every, now + every), else_=c.due_at)
    read_to_its_end = {"looked_at": now} if complete else {}
    tx.execute(sa.update(inbound_cursor).where(c.id == _ID).values(due_at=due_at, **read_to_its_end))


def count_by_key(tx: Connection) -> dict[str, int]:
    """Return how many texts are remembered under each key id."""
    recent = tx.scalar(sa.select(c.recent).where(c.id == _ID)) or "[]"
    return dict(Counter(fingerprint.partition(":")[0] for fingerprint in json.loads(recent)))


def hurry(tx: Connection, now: float, every: float) -> None:
    """Make the list due at once, or as soon as it may be read again."""
    read_lately = c.due_at > now + every - HURRIED_SECONDS
    due_at = sa.case((read_lately, now + HURRIED_SECONDS), else_=now)
    statement = sa.update(inbound_cursor).where(c.id == _ID, c.due_at > now + HURRIED_SECONDS)
    tx.execute(statement.values(due_at=due_at))


def move(tx: Connection, cursor: Cursor, *, due_at: float) -> bool:
    """Swap the cursor, before the effects in the same transaction; return False if another process was first.

    `cursor`: the version as it was read, with what is known from now on; `due_at`: the latest time of the next reading.
    """
    statement = sa.update(inbound_cursor).where(c.id == _ID, c.version == cursor.version)
    sooner = sa.case((c.due_at < due_at, c.due_at), else_=due_at)
    changes = {"version": cursor.version + 1, "recent": json.dumps(cursor.recent), "due_at": sooner}
    return tx.execute(statement.values(changes)).rowcount == 1
