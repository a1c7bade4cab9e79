"""Statements that are compiled once and run past SQLAlchemy, whose execution costs more than they do."""

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError


class Compiled:
    """A statement whose values are `bindparam`s of types that need no conversion, such as text and numbers.

    `make` builds the statement for a dialect, at the first run. A row has its columns as attributes.
    """

    def __init__(self, make: Callable[[Dialect], sa.ClauseElement]) -> None:
        self._make = make
        self._compiled: dict[str, _Compiled] = {}

    @classmethod
    def of_text(cls, sql: str) -> "Compiled":
        """Return a statement that is written as SQL, with parameters such as `:now`."""
        return cls(lambda _: sa.text(sql.strip()))

    def run(self, tx: Connection, values: Mapping[str, Any]) -> None:
        """Run a statement that returns no rows."""
        self._rows(tx, values, most=0)

    def first(self, tx: Connection, values: Mapping[str, Any]) -> Any:
        """Run the statement and return its first row, or None."""
        return next(iter(self._rows(tx, values, most=1)), None)

    def all(self, tx: Connection, values: Mapping[str, Any]) -> list[Any]:
        """Run the statement and return all rows."""
        return self._rows(tx, values, most=None)

    def _rows(self, tx: Connection, values: Mapping[str, Any], *, most: int | None) -> list[Any]:
        dialect = tx.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _Compiled(self._make(dialect), dialect)
        cursor = tx.connection.cursor()
        try:
            cursor.execute(compiled.sql, compiled.in_order(values))
            if most == 0:
                return []
            row_of = compiled.row_class(cursor)
            return [row_of(*row) for row in cursor.fetchall()[:most]]
        except dialect.loaded_dbapi.Error as error:
            raise _translated(tx, cursor, error) from error
        finally:
            cursor.close()


class _Compiled:
    """A statement in a dialect's SQL."""

    def __init__(self, statement: sa.ClauseElement, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.sql: str = compiled.string
        # A required value that the caller leaves out is an error, not NULL.
        needed = {name for name, bound in compiled.binds.items() if bound.required}
        self._fixed = {name: each for name, each in compiled.params.items() if name not in needed}
        self._order: list[str] | None = compiled.positiontup
        self._row_class: Callable[..., Any] | None = None

    def in_order(self, values: Mapping[str, Any]) -> Any:
        """Return the parameters as the driver expects them."""
        values = {**self._fixed, **values}
        return values if self._order is None else [values[name] for name in self._order]

    def row_class(self, cursor: Any) -> Callable[..., Any]:
        """Return what builds a row; its columns have the names that the database gives them."""
        if self._row_class is None:  # psycopg makes a description anew each time, which costs as much as fetching
            self._row_class = _row_of([column[0] for column in cursor.description])
        return self._row_class


def _row_of(names: list[str]) -> Callable[..., Any]:
    return namedtuple("Row", names)


def _translated(tx: Connection, cursor: Any, error: Any) -> Exception:
    """Return the driver's error as SQLAlchemy's. A lost connection leaves the pool."""
    dialect = tx.dialect
    lost = dialect.is_disconnect(error, tx.connection.dbapi_connection, cursor)
    if lost:
        tx.invalidate(error)
    base = dialect.loaded_dbapi.Error
    made: Exception = DBAPIError.instance(None, None, error, base, True, connection_invalidated=lost, dialect=dialect)
    return made
