"""What a connection to SQLite is told."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from otp_service.database.sqlite_lock import WAIT_SECONDS
from otp_service.errors import Unavailable

LOCK_MS = round(WAIT_SECONDS * 1000)
_PRAGMAS = (f"busy_timeout={LOCK_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


def prepare(connection: sqlite3.Connection, _record: object) -> None:
    """Durable, and never a transaction that is not ours."""
    connection.isolation_level = None
    with unavailable():
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")


def begin(connection: Connection) -> None:
    """Past SQLAlchemy, whose own execution costs as much as a statement."""
    # IMMEDIATE takes the write lock at once: a read that turns into a write would fail under concurrency.
    mode = "DEFERRED" if connection.get_execution_options().get("otp_read_only") else "IMMEDIATE"
    with unavailable():
        connection.connection.cursor().execute(f"BEGIN {mode}")


def wait_for_lock(connection: Connection, seconds: float) -> None:
    """For how long BEGIN waits for whoever holds the lock; most of the time it is what a new connection is told."""
    wait = LOCK_MS if seconds * 1000 > LOCK_MS / 2 else int(seconds * 1000)
    told = connection.info.get("otp_lock_ms", LOCK_MS)
    if wait != told:
        connection.info["otp_lock_ms"] = wait
        connection.connection.cursor().execute(f"PRAGMA busy_timeout={wait}")


def reason_of(error: BaseException) -> str:
    """SQLite names what is wrong in the error, not in its type."""
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


@contextmanager
def unavailable() -> Iterator[None]:
    """Of what goes past SQLAlchemy: a lock, a full disk, a file that is damaged."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise Unavailable(reason_of(error)) from None
