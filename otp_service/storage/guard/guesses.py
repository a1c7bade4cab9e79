"""The table `guesses`: wrong checks by the minute, each by the chance that a guess had."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, insert_into
from otp_service.storage.batches import delete, lock
from otp_service.storage.tables import guesses

g = guesses.c


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
