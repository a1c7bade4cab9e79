"""How the database is connected to: the driver, the pool, and what each new connection is told."""

import select
import sqlite3
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DisconnectionError

POSTGRES_CONNECTIONS = 10
SQLITE_READERS = 2
SQLITE_LOCK_MS = 800
"""Somebody who holds SQLite's lock for longer makes the database unavailable: our own processes take milliseconds."""
CONNECT_SECONDS = 2
STATEMENT_SECONDS = 10
"""No statement of ours takes so long; one that does waits for a lock that somebody else forgot."""
IDLE_SECONDS = 15
"""A process that is frozen in the middle of a transaction gives up its locks."""
_POSTGRES_OPTIONS = {
    "connect_timeout": CONNECT_SECONDS,
    # A server that is cut off without a word: unanswered data, or silence.
    "tcp_user_timeout": 3000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}


def make_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`; the driver is chosen here.

    Execution options: `otp_read_only`, and `otp_one_statement` where a transaction has one statement.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = sa.create_engine(parsed, hide_parameters=True, poolclass=sa.QueuePool, pool_size=SQLITE_READERS + 1)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=1,
        connect_args=_POSTGRES_OPTIONS,
    )
    sa.event.listen(engine, "connect", _prepare_postgres)
    sa.event.listen(engine, "begin", _begin_postgres)
    sa.event.listen(engine, "checkout", _require_open)
    sa.event.listen(engine, "checkin", _end_autocommit)
    return engine


def bound_statements(engine: Engine) -> None:
    """Lets PostgreSQL itself end what takes too long; not for migrations, which may."""

    def bound(connection: psycopg.Connection[Any], _record: object) -> None:
        # What a session is set to would meet whoever gets the pooler's connection next.
        if connection.prepare_threshold is not None:
            connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'".encode())
            connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'".encode())
            connection.commit()

    if engine.dialect.name == "postgresql":
        sa.event.listen(engine, "connect", bound)


def ping(engine: Engine) -> None:
    """Asks PostgreSQL for an answer over a connection of its own; returns with one, also where that is an error."""
    arguments = engine.dialect.create_connect_args(engine.url)[1]
    try:
        with psycopg.connect(**{**arguments, **_POSTGRES_OPTIONS}) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error:
        return


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not open transactions by itself: BEGIN is ours, below.
    connection.isolation_level = None
    settings = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
    for pragma in (f"busy_timeout={SQLITE_LOCK_MS}", *settings):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a read that turns into a write would fail under concurrency.
    mode = "DEFERRED" if connection.get_execution_options().get("otp_read_only") else "IMMEDIATE"
    # Past SQLAlchemy: its own execution costs as much as a statement.
    connection.connection.cursor().execute(f"BEGIN {mode}")


def _prepare_postgres(connection: psycopg.Connection[Any], _record: object) -> None:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.commit()
    if row is None or row[0] != connection.info.backend_pid:
        # A pooler in between, as PgBouncer is: each transaction may meet another server process, where nothing of
        # ours is prepared.
        connection.prepare_threshold = None


def _begin_postgres(connection: Connection) -> None:
    # Spares the round trips of BEGIN and COMMIT.
    if connection.get_execution_options().get("otp_one_statement"):
        connection.connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]


def _end_autocommit(connection: psycopg.Connection[Any] | None, _record: object) -> None:
    if connection is not None and connection.autocommit and not connection.closed:
        connection.autocommit = False


def _require_open(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    """A connection that the server has ended meanwhile is replaced before anything is sent."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):  # nothing was asked: it can only say that it is over
        raise DisconnectionError
