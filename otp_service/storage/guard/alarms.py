"""The table `guard_alarms`: alarms that must not be raised again yet."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import insert_into
from otp_service.storage.batches import delete, lock
from otp_service.storage.tables import guard_alarms

a = guard_alarms.c


def purge(tx: Connection, now: float) -> int:
    """Delete alarms that are over."""
    return delete(tx, guard_alarms, a.key, lock(tx, sa.select(a.key).where(a.until <= now), by=a.until, to_delete=True))


def raise_once(tx: Connection, key: str, *, now: float, until: float) -> bool:
    """Record an alarm; False if it was raised already and is not over."""
    new = insert_into(tx, guard_alarms).values(key=key, until=until)
    statement = new.on_conflict_do_update(index_elements=[a.key], set_={"until": until}, where=a.until <= now)
    return tx.execute(statement.returning(a.key)).first() is not None
