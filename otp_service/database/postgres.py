"""Connections to PostgreSQL: how they are set up, checked and shut down."""

import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DisconnectionError

from otp_service.errors import Unavailable

CONNECT_OPTIONS = {
    "connect_timeout": 2,
    # Ends connections to a server that is cut off: data without an acknowledgement, or silence.
    "tcp_user_timeout": 3000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
STATEMENT_SECONDS = 10
"""No statement of ours takes so long, unless it waits for a lock that another session does not release."""
IDLE_SECONDS = 15
"""A process that is frozen inside a transaction loses its locks after this."""
_REASONS = ("password authentication failed", "no password supplied", "Connection refused", "does not exist")
"""Errors that libpq tells apart only in their text. The text itself may hold values, so it is not passed on."""

AnyConnection = psycopg.Connection[Any]


def prepare(connection: AnyConnection, _record: object) -> None:
    """Prepare no statements behind a pooler."""
    with _unavailable():
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        connection.commit()
    if row is None or row[0] != connection.info.backend_pid:
        # PgBouncer, or its like: each transaction may run in another server process, where nothing of ours is prepared.
        connection.prepare_threshold = None


def bound_statements(engine: Engine) -> None:
    """Let the server itself end statements that take too long. Migrations may take longer."""

    def bound(connection: AnyConnection, _record: object) -> None:
        # Behind a pooler, these settings would apply to whoever gets the server's session next.
        if connection.prepare_threshold is None:
            return
        with _unavailable():
            connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'".encode())
            connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'".encode())
            connection.commit()

    sa.event.listen(engine, "connect", bound)


def begin(connection: Connection) -> None:
    """Save the round trips of BEGIN and COMMIT if the transaction is one statement."""
    if connection.get_execution_options().get("otp_one_statement"):
        with _unavailable():
            connection.connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]


def end_autocommit(connection: AnyConnection | None, _record: object) -> None:
    """Undo `begin` for the next transaction of the connection."""
    if connection is not None and connection.autocommit and not connection.closed:
        connection.autocommit = False


def require_open(connection: AnyConnection, _record: object, _proxy: object) -> None:
    """Replace a connection that the server has closed, before anything is sent on it."""
    # Nothing was asked. So something to read is the end, or rarely a notice: then a new connection does no harm.
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError


def shut_down(connection: AnyConnection) -> None:
    """Shut down the connection's socket: whatever waits for it in another thread fails at once."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


def reason_of(error: BaseException) -> str:
    """Return the kind of a driver's error: its class, or a known phrase of its text."""
    reason = next((reason for reason in _REASONS if reason in str(error)), None)
    return reason if reason is not None and type(error) is psycopg.OperationalError else type(error).__name__


@contextmanager
def _unavailable() -> Iterator[None]:
    """Raise Unavailable for errors of what runs past SQLAlchemy."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable(reason_of(error)) from None
