"""The table `guard_rows`: what the guard has counted of a prefix, a client, an address or a person.

`key` is a keyed digest if it is about a person or an address. `prefix` and `client_id` say for whom an operator's
reset forgets it.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import insert_into
from otp_service.guard.keys import Kind
from otp_service.storage.batches import delete, lock
from otp_service.storage.tables import guard_rows

g = guard_rows.c
_PARTS = (Kind.BLOCK, Kind.RANGE)
"""Kinds of rows about a part of a country's numbers: a longer prefix lies inside them."""


class StoredRow(NamedTuple):
    """A row to write. `state`: its numbers, as JSON; `prefix`: of the numbers, never their last four digits."""

    key: str
    kind: str
    client_id: str | None
    prefix: str | None
    state: str


@cache
def _read_statement(count: int) -> Compiled:
    keys = [sa.bindparam(f"key_{place}", type_=sa.Text) for place in range(count)]
    return Compiled(lambda _: sa.select(g.key, g.state).where(g.key.in_(keys)))


def read(tx: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Return key -> state of the rows that exist."""
    values = {f"key_{place}": key for place, key in enumerate(keys)}
    return {row.key: row.state for row in _read_statement(len(keys)).all(tx, values)}


def insert_missing(tx: Connection, rows: Collection[StoredRow], now: float) -> None:
    """Insert the rows that do not exist. What is not there cannot be locked, and two processes would both begin it."""
    existing = set(tx.scalars(sa.select(g.key).where(g.key.in_([row.key for row in rows]))))
    missing = sorted((row for row in rows if row.key not in existing), key=lambda row: row.key)
    if missing:
        new = insert_into(tx, guard_rows).on_conflict_do_nothing(index_elements=[g.key])
        tx.execute(new, [{**row._asdict(), "touched_at": now} for row in missing])


def lock_all(tx: Connection, keys: Collection[str]) -> dict[str, str]:
    """Return key -> state of the rows that exist; lock them until the commit."""
    # In one order for all: no deadlock.
    statement = sa.select(g.key, g.state).where(g.key.in_(keys)).order_by(g.key).with_for_update()
    return {row.key: row.state for row in tx.execute(statement)}


def write(tx: Connection, rows: Collection[StoredRow], now: float) -> None:
    """Insert or replace rows."""
    if not rows:
        return
    new = insert_into(tx, guard_rows)
    changed = {"state": new.excluded.state, "touched_at": new.excluded.touched_at}
    ordered = sorted(rows, key=lambda each: each.key)
    tx.execute(
        new.on_conflict_do_update(index_elements=[g.key], set_=changed),
        [{**row._asdict(), "touched_at": now} for row in ordered],
    )


def forget(tx: Connection, *, prefix: str | None = None, client_id: str | None = None) -> int:
    """Delete rows of a prefix, of a client, or all; return how many there were."""
    statement = sa.delete(guard_rows)
    if prefix is not None:
        inside = g.prefix.startswith(prefix, autoescape=True)
        around = sa.and_(g.kind.in_(_PARTS), sa.literal(prefix).startswith(g.prefix))
        statement = statement.where(sa.or_(inside, around))
    if client_id is not None:
        statement = statement.where(g.client_id == client_id)
    return tx.execute(statement).rowcount


def purge(tx: Connection, touched_before: float) -> int:
    """Delete rows that nothing has touched since then."""
    old = sa.select(g.key).where(g.touched_at <= touched_before)
    return delete(tx, guard_rows, g.key, lock(tx, old, by=g.touched_at, to_delete=True))
