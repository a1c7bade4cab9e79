"""Connections to SQLite: how they are set up, and how long they wait for the lock."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from otp_service.database.sqlite_lock import WAIT_SECONDS
from otp_service.errors import Unavailable

LOCK_MS = round(WAIT_SECONDS * 1000)
_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
_TRY_EVERY_SECONDS = 0.005


def prepare(connection: sqlite3.Connection, lock_seconds: float) -> None:
    """Make the connection durable and leave every BEGIN to us; it waits `lock_seconds` for SQLite's lock."""
    connection.isolation_level = None
    with unavailable():
        connection.execute(f"PRAGMA busy_timeout={round(lock_seconds * 1000)}")
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        _use_wal(connection, lock_seconds)


def _use_wal(connection: sqlite3.Connection, lock_seconds: float) -> None:
    """Switch a new file to WAL; do nothing if it has it."""
    until = time.monotonic() + lock_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait if another connection makes the same switch.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_TRY_EVERY_SECONDS)


def begin(connection: Connection) -> None:
    """Begin a transaction past SQLAlchemy, whose own execution costs as much as a statement."""
    # IMMEDIATE takes the write lock at once: a read that turns into a write would fail under concurrency.
    mode = "DEFERRED" if connection.get_execution_options().get("otp_read_only") else "IMMEDIATE"
    with unavailable():
        connection.connection.cursor().execute(f"BEGIN {mode}")


def wait_for_lock(connection: Connection, seconds: float) -> None:
    """Set how long BEGIN waits for SQLite's lock. Most of the time it is what a new connection has."""
    wait = LOCK_MS if seconds * 1000 > LOCK_MS / 2 else int(seconds * 1000)
    if wait != connection.info.get("otp_lock_ms", LOCK_MS):
        connection.info["otp_lock_ms"] = wait
        connection.connection.cursor().execute(f"PRAGMA busy_timeout={wait}")


def reason_of(error: BaseException) -> str:
    """Return SQLite's name for an error, such as SQLITE_BUSY."""
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


@contextmanager
def unavailable() -> Iterator[None]:
    """Raise Unavailable for errors of what runs past SQLAlchemy: a lock, a full disk, a damaged file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise Unavailable(reason_of(error)) from None
