"""What statements share: a dialect's INSERT with ON CONFLICT, rows, and counts by key id."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, Row

AnyRow = Row[*tuple[Any, ...]]


def insert_by(dialect: Dialect) -> Callable[[sa.Table], Any]:
    """Return the dialect's `insert`, which has ON CONFLICT."""
    made: Callable[[sa.Table], Any] = import_module(f"sqlalchemy.dialects.{dialect.name}").insert
    return made


def insert_into(tx: Connection, table: sa.Table) -> Any:
    """Return an INSERT into the table that can take ON CONFLICT."""
    return insert_by(tx.dialect)(table)


def counts_by_key(tx: Connection, *columns: sa.Column[str]) -> dict[str, int]:
    """Count the rows that need each key id: any of the columns begins with it."""
    position = sa.func.instr if tx.dialect.name == "sqlite" else sa.func.strpos
    counts: dict[str, int] = {}
    for column in columns:
        key = sa.func.substr(column, 1, position(column, ":") - 1)
        for key_id, count in tx.execute(sa.select(key, sa.func.count()).where(column.is_not(None)).group_by(key)):
            counts[key_id] = max(counts.get(key_id, 0), count)
    return counts
