"""The statements that reach the database, as the drivers see them, including those that bypass SQLAlchemy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Engine

Told = Callable[[str, Any], None]
_FRAME = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA")


@contextmanager
def told(engine: Engine, tell: Told) -> Iterator[None]:
    """Calls `tell` with each statement and its parameters; SQLite's statements contain their values instead.

    BEGIN, COMMIT and the like are left out.
    """
    listening: list[Any] = []

    def heard(statement: str, parameters: Any = None) -> None:
        if not statement.startswith(_FRAME):
            tell(statement, parameters)

    def listen(transaction: sa.Connection) -> None:
        connection = transaction.connection.dbapi_connection
        if connection not in listening:
            listening.append(connection)
            _set(connection, heard)

    sa.event.listen(engine, "begin", listen)
    try:
        yield
    finally:
        sa.event.remove(engine, "begin", listen)
        for connection in listening:
            _set(connection, None)


def _set(connection: Any, heard: Callable[..., None] | None) -> None:
    if not isinstance(connection, psycopg.Connection):
        connection.set_trace_callback(heard)
        return
    connection.cursor_factory = psycopg.Cursor if heard is None else _telling(heard)


def _telling(heard: Callable[..., None]) -> type[psycopg.Cursor[Any]]:
    class Telling(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            heard(str(query), params)
            return super().execute(query, params, **more)

    return Telling


def open_transactions(engine: Engine) -> Callable[[], int]:
    """Returns a function that counts the open transactions of those begun from now on."""
    counts = {"begin": 0, "commit": 0, "rollback": 0}

    def count(event: str) -> Callable[[sa.Connection], None]:
        def happened(_: sa.Connection) -> None:
            counts[event] += 1

        return happened

    for event in counts:
        sa.event.listen(engine, event, count(event))
    return lambda: counts["begin"] - counts["commit"] - counts["rollback"]
