"""The table `failures`: wrong checks in a row of (client, number, purpose), over all its verifications."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.engine import AnyRow, insert_of
from otp_service.storage.tables import failures

f = failures.c


@cache
def _spending(insert: Callable[[sa.Table], Any], waits: tuple[tuple[int, float], ...]) -> Any:
    """Built once: building it takes longer than running it."""
    now = sa.bindparam("now", type_=sa.Double)
    checks = f.checks + 1
    # No wait is 0, not now: another process's clock can be a moment behind.
    waits_until = sa.case(*((checks >= least, now + seconds) for least, seconds in waits if seconds), else_=0.0)
    first = next((now + seconds for least, seconds in waits if least <= 1 and seconds), sa.literal(0.0))
    statement = insert(failures).values(
        number_id=sa.bindparam("number"),
        client_id=sa.bindparam("client"),
        purpose=sa.bindparam("for_purpose"),
        checks=1,
        waits_until=first,
        last_at=now,
    )
    return statement.on_conflict_do_update(
        index_elements=[f.number_id, f.client_id, f.purpose],
        set_={"checks": checks, "waits_until": waits_until, "last_at": now},
        where=f.waits_until <= now,
    ).returning(f.checks)


def spend(
    tx: Connection, *, client_id: str, number_id: int, purpose: str, now: float, waits: tuple[tuple[int, float], ...]
) -> bool:
    """Counts a check before it is compared; False while the number has to wait.

    `waits`: (from this count on, seconds that the next check waits), the highest count first.
    """
    given = {"number": number_id, "client": client_id, "for_purpose": purpose, "now": now}
    return tx.execute(_spending(insert_of(tx), waits), given).first() is not None


def waits_until(tx: Connection, *, client_id: str, number_id: int, purpose: str) -> float:
    """Until when the next check waits; 0 where nothing is counted."""
    return tx.scalar(sa.select(f.waits_until).where(_of(client_id, number_id, purpose))) or 0.0


_CLEAR = sa.delete(failures).where(
    f.number_id == sa.bindparam("number"), f.client_id == sa.bindparam("client"), f.purpose == sa.bindparam("purpose")
)


def clear(tx: Connection, *, client_id: str, number_id: int, purpose: str) -> None:
    """An approval: the number begins anew, for that client and purpose alone."""
    tx.execute(_CLEAR, {"number": number_id, "client": client_id, "purpose": purpose})


def of_number(tx: Connection, number_id: int) -> Sequence[AnyRow]:
    """All rows of a number."""
    return tx.execute(sa.select(failures).where(f.number_id == number_id).order_by(f.client_id, f.purpose)).all()


def clear_number(tx: Connection, number_id: int) -> int:
    """An operator lifts every wait of a number; how many rows there were."""
    return tx.execute(sa.delete(failures).where(f.number_id == number_id)).rowcount


def _of(client_id: str, number_id: int, purpose: str) -> sa.ColumnElement[bool]:
    return sa.and_(f.number_id == number_id, f.client_id == client_id, f.purpose == purpose)
