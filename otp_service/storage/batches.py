"""What sweeps share: they find, lock, change and delete a few rows at a time."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

BATCH = 50
"""Takes about 5 ms. SQLite has one writer, and a check waits for it; larger batches are hardly faster."""


def lock(tx: Connection, due: sa.Select[Any], *, by: sa.Column[Any], to_delete: bool = False) -> list[Any]:
    """Lock the first rows of `due` that nobody else has locked; return their keys.

    `by`: the column of the index to read; without an order PostgreSQL reads the table if it expects many rows.
    `to_delete`: otherwise other rows can still be inserted that refer to them.
    """
    few = due.order_by(by).limit(BATCH).with_for_update(skip_locked=True, key_share=not to_delete)
    return [row[0] if len(row) == 1 else tuple(row) for row in tx.execute(few)]


def change(tx: Connection, table: sa.Table, ids: list[Any], changes: dict[str, Any]) -> int:
    """Change the rows with these ids; return how many there were."""
    if not ids:
        return 0
    return tx.execute(sa.update(table).where(table.c.id.in_(ids)).values(changes)).rowcount


def delete(tx: Connection, table: sa.Table, key: sa.ColumnElement[Any], keys: list[Any]) -> int:
    """Delete the rows with these keys; return how many there were."""
    if not keys:
        return 0
    return tx.execute(sa.delete(table).where(key.in_(keys))).rowcount
