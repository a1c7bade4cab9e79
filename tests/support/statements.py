"""What reaches the database, as the drivers see it: also what goes past SQLAlchemy."""

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
    """Calls `tell` with each statement and its parameters; SQLite's statements hold their values instead.

    BEGIN, COMMIT and their like are left out.
    """
    listening: list[Any] = []

    def heard(statement: str, parameters: Any = None) -> None:
        if not statement.startswith(_FRAME):
            tell(statement, parameters)

    def listen(connection: Any, *_: Any) -> None:
        if connection not in listening:
            listening.append(connection)
            _set(connection, heard)

    sa.event.listen(engine, "checkout", listen)
    try:
        yield
    finally:
        sa.event.remove(engine, "checkout", listen)
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
