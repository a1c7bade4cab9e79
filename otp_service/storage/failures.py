"""The table `failures`: wrong checks in a row of (client, number, purpose), over all its verifications."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.engine import AnyRow, insert_into
from otp_service.storage.tables import failures

f = failures.c


def spend(
    tx: Connection, *, client_id: str, number_id: int, purpose: str, now: float, waits: Sequence[tuple[int, float]]
) -> bool:
    """Counts a check before it is compared; False while the number has to wait.

    `waits`: (from this count on, seconds that the next check waits), the highest count first.
    """
    checks = f.checks + 1
    # No wait is 0, not now: another process's clock can be a moment behind.
    waits_until = sa.case(*((checks >= least, now + seconds) for least, seconds in waits if seconds), else_=0.0)
    first = next((now + seconds for least, seconds in waits if least <= 1 and seconds), 0.0)
    insert = insert_into(tx, failures).values(
        number_id=number_id, client_id=client_id, purpose=purpose, checks=1, waits_until=first, last_at=now
    )
    statement = insert.on_conflict_do_update(
        index_elements=[f.number_id, f.client_id, f.purpose],
        set_={"checks": checks, "waits_until": waits_until, "last_at": now},
        where=f.waits_until <= now,
    ).returning(f.checks)
    return tx.execute(statement).first() is not None


def waits_until(tx: Connection, *, client_id: str, number_id: int, purpose: str) -> float:
    """Until when the next check waits; 0 where nothing is counted."""
    return tx.scalar(sa.select(f.waits_until).where(_of(client_id, number_id, purpose))) or 0.0


def clear(tx: Connection, *, client_id: str, number_id: int, purpose: str) -> None:
    """An approval: the number begins anew, for that client and purpose alone."""
    tx.execute(sa.delete(failures).where(_of(client_id, number_id, purpose)))


def of_number(tx: Connection, number_id: int) -> Sequence[AnyRow]:
    """All rows of a number."""
    return tx.execute(sa.select(failures).where(f.number_id == number_id).order_by(f.client_id, f.purpose)).all()


def clear_number(tx: Connection, number_id: int) -> int:
    """An operator lifts every wait of a number; how many rows there were."""
    return tx.execute(sa.delete(failures).where(f.number_id == number_id)).rowcount


def _of(client_id: str, number_id: int, purpose: str) -> sa.ColumnElement[bool]:
    return sa.and_(f.number_id == number_id, f.client_id == client_id, f.purpose == purpose)
