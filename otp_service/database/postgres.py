"""What a connection to PostgreSQL is told, and whether the server answers."""

import select
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DisconnectionError

from otp_service.errors import Unavailable

CONNECT_OPTIONS = {
    "connect_timeout": 2,
    # A server that is cut off without a word: unanswered data, or silence.
    "tcp_user_timeout": 3000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
STATEMENT_SECONDS = 10
"""No statement of ours takes so long; one that does waits for a lock that somebody else forgot."""
IDLE_SECONDS = 15
"""A process that is frozen in the middle of a transaction gives up its locks."""
PING_SECONDS = 2.0
_REASONS = ("password authentication failed", "no password supplied", "Connection refused", "does not exist")
"""What PostgreSQL's library only says in its text, which can hold more and is not passed on."""

AnyConnection = psycopg.Connection[Any]


def prepare(connection: AnyConnection, _record: object) -> None:
    """Prepares no statements behind a pooler."""
    with _unavailable():
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        connection.commit()
    if row is None or row[0] != connection.info.backend_pid:
        # PgBouncer, or its like: each transaction may meet another server process, where nothing of ours is prepared.
        connection.prepare_threshold = None


def bound_statements(engine: Engine) -> None:
    """Lets the server itself end what takes too long; not for migrations, which may."""

    def bound(connection: AnyConnection, _record: object) -> None:
        # What a session is set to would meet whoever gets the pooler's connection next.
        if connection.prepare_threshold is None:
            return
        with _unavailable():
            connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'".encode())
            connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'".encode())
            connection.commit()

    sa.event.listen(engine, "connect", bound)


def begin(connection: Connection) -> None:
    """Spares the round trips of BEGIN and COMMIT where there is one statement."""
    if connection.get_execution_options().get("otp_one_statement"):
        with _unavailable():
            connection.connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]


def end_autocommit(connection: AnyConnection | None, _record: object) -> None:
    """For whoever gets the connection next."""
    if connection is not None and connection.autocommit and not connection.closed:
        connection.autocommit = False


def require_open(connection: AnyConnection, _record: object, _proxy: object) -> None:
    """A connection that the server has ended meanwhile is replaced before anything is sent."""
    # Nothing was asked: something to read is its end, or rarely a notice, and then a new one does no harm.
    if _is_readable(connection, 0):
        raise DisconnectionError


def ping(engine: Engine) -> bool:
    """Whether the server answers over a connection of its own, whatever it says; after a few seconds it does not."""
    arguments = engine.dialect.create_connect_args(engine.url)[1]
    try:
        # Closed whatever the answer is: psycopg's own `with` would wait for it.
        with closing(psycopg.connect(**{**arguments, **CONNECT_OPTIONS}, autocommit=True)) as connection:
            connection.pgconn.send_query(b"SELECT 1")
            return _is_readable(connection, PING_SECONDS)
    except psycopg.errors.ConnectionTimeout:
        return False
    except psycopg.Error:
        return True


def _is_readable(connection: AnyConnection, seconds: float) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def reason_of(error: BaseException) -> str:
    """The kind of a driver's error, in plain words where it has no kind of its own."""
    reason = next((reason for reason in _REASONS if reason in str(error)), None)
    return reason if reason is not None and type(error) is psycopg.OperationalError else type(error).__name__


@contextmanager
def _unavailable() -> Iterator[None]:
    """Of what goes past SQLAlchemy."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable(reason_of(error)) from None
