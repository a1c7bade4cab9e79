"""The database: an engine, a few threads, and short transactions.

SQLAlchemy runs synchronously in threads: one writer and two readers on SQLite, ten on PostgreSQL. A driver is imported
only if it is used.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from otp_service.database import sqlite
from otp_service.database.sqlite_lock import WAIT_SECONDS
from otp_service.database.sqlite_writer import Writer
from otp_service.database.threads import Job, Threads
from otp_service.errors import Unavailable

T = TypeVar("T")

POSTGRES_CONNECTIONS = 10
SQLITE_READERS = 2
MOST_TRIES = 3
_DEADLOCK = "40P01"
_HOST_AND_PORT = re.compile(r"\[?(?P<host>.*?)\]?(?::(?P<port>\d*))?")


class Database:
    """Runs work in a transaction in a thread. `work` gets the open transaction; an exception rolls it back.

    `patient` is for an operator's commands: they wait longer for a server that is slow to answer.
    """

    def __init__(self, url: str, *, patient: bool = False) -> None:
        self.engine = make_engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._readers_engine = self.engine.execution_options(otp_read_only=True)
        self._one_statement_engine = self.engine.execution_options(otp_one_statement=True)
        self._writer = Writer(self.engine) if self.is_sqlite else None
        self._threads = Threads(SQLITE_READERS if self.is_sqlite else POSTGRES_CONNECTIONS, "db-read")
        # SQLite runs in this process, so it always answers.
        self._track = (lambda _job: None) if self.is_sqlite else _watch(self.engine, patient)

    async def write(self, work: Callable[[Connection], T], *, one_statement: bool = False) -> T:
        """Return what `work` returns, after its commit. Raises Unavailable if the database is away.

        `one_statement`: `work` runs one statement, which PostgreSQL commits by itself in one round trip.
        """
        with translating():
            if self._writer is not None:
                result: T = await self._writer.run(work)
                return result
            return await self._run(self._one_statement_engine if one_statement else self.engine, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns; it must not write. Raises Unavailable if the database is away."""
        with translating():
            return await self._run(self._readers_engine, work)

    async def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        job = Job(lambda: run_transaction(engine, work, lambda: job.is_given_up))
        self._track(job)
        self._threads.put(job)
        result: T = await job.future
        return result

    def close(self) -> None:
        """End the threads after the jobs that wait, and close the connections."""
        if self._writer is not None:
            self._writer.close()
        self._threads.close()
        self.engine.dispose()


def make_engine(url: str, *, sqlite_lock_seconds: float = WAIT_SECONDS) -> Engine:
    """Return an engine for `sqlite:///path` or `postgresql://...`, with the driver of our choice.

    `sqlite_lock_seconds`: how long a connection waits for SQLite's lock. The engine's execution options are
    `otp_read_only`, and `otp_one_statement` for a transaction of one statement.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, sqlite_lock_seconds)
    return _postgres_engine(parsed)


def parse_url(url: str) -> sa.URL:
    """Return the URL as SQLAlchemy's, which reads several hosts (`h1:5432,h2:5432`) as parameters only."""
    netloc = urlsplit(url).netloc
    user, at, hosts = netloc.rpartition("@")
    if "," not in hosts:
        return sa.make_url(url)
    found = [_HOST_AND_PORT.fullmatch(each) for each in hosts.split(",")]
    several = {name: ",".join(unquote((each and each[name]) or "") for each in found) for name in ("host", "port")}
    return sa.make_url(url.replace(f"//{netloc}", f"//{user}{at}", 1)).update_query_dict(several)


def _sqlite_engine(url: sa.URL, lock_seconds: float) -> Engine:
    engine = sa.create_engine(url, hide_parameters=True, poolclass=sa.QueuePool, pool_size=SQLITE_READERS + 1)
    sa.event.listen(engine, "connect", lambda made, _: sqlite.prepare(made, lock_seconds))
    sa.event.listen(engine, "begin", sqlite.begin)
    return engine


def _postgres_engine(url: sa.URL) -> Engine:
    from otp_service.database import postgres

    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=1,
        connect_args=postgres.CONNECT_OPTIONS,
    )
    sa.event.listen(engine, "connect", postgres.prepare)
    sa.event.listen(engine, "begin", postgres.begin)
    sa.event.listen(engine, "checkout", postgres.require_open)
    sa.event.listen(engine, "checkin", postgres.end_autocommit)
    return engine


def _watch(engine: Engine, patient: bool) -> Callable[[Job], None]:
    from otp_service.database import postgres
    from otp_service.database.watchdog import Watchdog

    postgres.bound_statements(engine)
    return Watchdog(engine, patient=patient).track


def run_transaction(engine: Engine, work: Callable[[Connection], T], is_given_up: Callable[[], bool]) -> T:
    """Run `work` in a transaction, and again if the database gave up on it before the commit.

    After a deadlock, or on a connection that a restart of the server closed, nothing was done, so repeating is safe. A
    commit of unknown outcome is never repeated. Nothing is committed for a caller that was refused meanwhile.
    """
    tries = 0
    # The one statement may have been carried out, although the connection was lost before the answer.
    sent = bool(engine.get_execution_options().get("otp_one_statement"))
    while True:
        tries += 1
        committing = False
        try:
            with engine.begin() as tx:
                _require_caller(is_given_up)
                result = work(tx)
                _require_caller(is_given_up)
                committing = True
            return result
        except DBAPIError as error:
            lost = error.connection_invalidated and not sent
            repeatable = lost or getattr(error.orig, "sqlstate", None) == _DEADLOCK
            if committing or not repeatable or tries == MOST_TRIES or is_given_up():
                raise


def _require_caller(is_given_up: Callable[[], bool]) -> None:
    if is_given_up():
        raise Unavailable("silent")


_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)


@contextmanager
def translating() -> Iterator[None]:
    """Raise Unavailable if the database is away, without the driver's text: it may hold values."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable(_kind(error)) from None
    except DatabaseError as error:
        # A table is missing: migrations have not run.
        if _kind(error) == "UndefinedTable":
            raise Unavailable("schema") from None
        # SQLite raises the bare class if the file is damaged or not a database.
        if type(error) is DatabaseError:
            raise Unavailable(_kind(error)) from None
        raise


def _kind(error: Exception) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, DBAPIError) and type(original).__module__.startswith("psycopg"):
        from otp_service.database import postgres

        return postgres.reason_of(original or error)
    return sqlite.reason_of(original or error)
