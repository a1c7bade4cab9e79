"""Statements of every request: compiled once, and run past SQLAlchemy, whose execution costs more than they do."""

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError


class Prepared:
    """A statement whose values are `bindparam`s of types that need no conversion: text, numbers.

    `make`: the statement, in the words of a dialect.
    """

    def __init__(self, make: Callable[[Dialect], sa.ClauseElement]) -> None:
        self._make = make
        self._compiled: dict[str, _Compiled] = {}

    def first(self, tx: Connection, given: Mapping[str, Any]) -> Any:
        """The first row, its columns as attributes; None where there is none."""
        dialect = tx.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _Compiled(self._make(dialect), dialect)
        cursor = tx.connection.cursor()
        try:
            cursor.execute(compiled.sql, compiled.values(given))
            row = cursor.fetchone() if compiled.row else None
        except dialect.loaded_dbapi.Error as error:
            raise _translated(tx, cursor, error) from error
        finally:
            cursor.close()
        return compiled.row(*row) if compiled.row and row is not None else None


class _Compiled:
    """`row`: makes a row of what the database returns; None where the statement returns nothing."""

    def __init__(self, statement: sa.ClauseElement, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.sql: str = compiled.string
        self._fixed: dict[str, Any] = dict(compiled.params)
        self._order: list[str] | None = compiled.positiontup
        names = [str(column.name) for column in getattr(statement, "exported_columns", ())]
        self.row = namedtuple("Row", names) if names else None

    def values(self, given: Mapping[str, Any]) -> Any:
        """The parameters as the driver takes them."""
        values = {**self._fixed, **given}
        return values if self._order is None else [values[name] for name in self._order]


def _translated(tx: Connection, cursor: Any, error: Any) -> Exception:
    """The driver's error as SQLAlchemy raises it; a connection that is lost leaves the pool."""
    dialect = tx.dialect
    lost = dialect.is_disconnect(error, tx.connection.dbapi_connection, cursor)
    if lost:
        tx.invalidate(error)
    base = dialect.loaded_dbapi.Error
    made: Exception = DBAPIError.instance(None, None, error, base, True, connection_invalidated=lost, dialect=dialect)
    return made
