"""What statements share: INSERT with ON CONFLICT in the words of a database, and rows."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, Row

AnyRow = Row[*tuple[Any, ...]]


def insert_by(dialect: Dialect) -> Callable[[sa.Table], Any]:
    """What makes an INSERT with ON CONFLICT, in the words of a database."""
    made: Callable[[sa.Table], Any] = import_module(f"sqlalchemy.dialects.{dialect.name}").insert
    return made


def insert_into(tx: Connection, table: sa.Table) -> Any:
    """INSERT with ON CONFLICT, in the words of this database."""
    return insert_by(tx.dialect)(table)


def counts_by_key(tx: Connection, *columns: sa.Column[str]) -> dict[str, int]:
    """How many rows need each key id: those of which any of the columns begins with it."""
    position = sa.func.instr if tx.dialect.name == "sqlite" else sa.func.strpos
    counts: dict[str, int] = {}
    for column in columns:
        key = sa.func.substr(column, 1, position(column, ":") - 1)
        for key_id, count in tx.execute(sa.select(key, sa.func.count()).where(column.is_not(None)).group_by(key)):
            counts[key_id] = max(counts.get(key_id, 0), count)
    return counts
