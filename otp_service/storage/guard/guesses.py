"""The table `guesses`: wrong checks by the minute, each by the chance that a guess had, and alarms that were raised."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, insert_into
from otp_service.storage.batches import delete, lock
from otp_service.storage.tables import guard_alarms, guesses

g, a = guesses.c, guard_alarms.c


def add(tx: Connection, *, client_id: str, purpose: str, minute: int, expected: float) -> None:
    """Add the expected takeovers of wrong checks in a minute since the epoch."""
    new = insert_into(tx, guesses).values(client_id=client_id, purpose=purpose, minute=minute, expected=expected)
    more = {"expected": g.expected + new.excluded.expected}
    tx.execute(new.on_conflict_do_update(index_elements=[g.client_id, g.purpose, g.minute], set_=more))


def expected_since(tx: Connection, minute: int) -> Sequence[AnyRow]:
    """Return `client_id`, `purpose` and the sum of `expected` takeovers since a minute."""
    total = sa.func.sum(g.expected).label("expected")
    statement = sa.select(g.client_id, g.purpose, total).where(g.minute >= minute)
    return tx.execute(statement.group_by(g.client_id, g.purpose)).all()


def purge(tx: Connection, before: int) -> int:
    """Delete the counts of minutes before this one."""
    key = g.client_id, g.purpose, g.minute
    old = sa.select(*key).where(g.minute < before)
    return delete(tx, guesses, sa.tuple_(*key), lock(tx, old, by=g.minute, to_delete=True))


def purge_alarms(tx: Connection, now: float) -> int:
    """Delete alarms that are over."""
    return delete(tx, guard_alarms, a.key, lock(tx, sa.select(a.key).where(a.until <= now), by=a.until, to_delete=True))


def raise_alarm(tx: Connection, key: str, *, now: float, until: float) -> bool:
    """Record an alarm; False if it was raised already and is not over."""
    new = insert_into(tx, guard_alarms).values(key=key, until=until)
    statement = new.on_conflict_do_update(index_elements=[a.key], set_={"until": until}, where=a.until <= now)
    return tx.execute(statement.returning(a.key)).first() is not None
