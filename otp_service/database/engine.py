"""The database: one engine, a few threads, short transactions.

SQLAlchemy runs synchronously in threads: one writer and two readers on SQLite, a pool on PostgreSQL.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from otp_service.database import sqlite
from otp_service.database.connections import POSTGRES_CONNECTIONS, SQLITE_READERS, make_engine
from otp_service.database.sqlite_writer import Writer
from otp_service.database.watchdog import PATIENT_SECONDS, Watch
from otp_service.errors import Unavailable
from otp_service.threads import Job, Threads

T = TypeVar("T")

MOST_TRIES = 3
_DEADLOCK = "40P01"


class Database:
    """Runs work in a transaction in a thread. `work` gets the open transaction; an exception rolls it back.

    `patient`: for commands, where a server that is slow to answer is better than none.
    """

    def __init__(self, url: str, *, patient: bool = False) -> None:
        self.engine = make_engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._readers_engine = self.engine.execution_options(otp_read_only=True)
        self._one_statement_engine = self.engine.execution_options(otp_one_statement=True)
        self._writer = Writer(self.engine) if self.is_sqlite else None
        self._threads = self._new_threads()
        # SQLite is in this process: there is nothing that could not answer.
        self._watch = None if self.is_sqlite else self._bounded(patient)

    async def write(self, work: Callable[[Connection], T], *, one_statement: bool = False) -> T:
        """What `work` returns, once it is committed. Raises Unavailable where the database is away.

        `one_statement`: on PostgreSQL `work` runs one, which is a transaction by itself and costs one round trip.
        """
        with translating():
            if self._writer is not None:
                result: T = await self._writer.run(work)
                return result
            return await self._run(self._one_statement_engine if one_statement else self.engine, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; it must not write."""
        with translating():
            return await self._run(self._readers_engine, work)

    async def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        job = Job.of(lambda: repeated(engine, work, lambda: job.given_up))
        if self._watch is not None:
            self._watch.over(job)
        self._threads.put(job)
        result: T = await job.waiting
        return result

    def _bounded(self, patient: bool) -> Watch:
        from otp_service.database import postgres

        postgres.bound_statements(self.engine)
        ping = partial(postgres.ping, self.engine)
        if patient:
            return Watch(ping, self._start_anew, answer_within=PATIENT_SECONDS, longest=math.inf)
        return Watch(ping, self._start_anew)

    def _new_threads(self) -> Threads:
        return Threads(SQLITE_READERS, "db-read") if self.is_sqlite else Threads(POSTGRES_CONNECTIONS, "db")

    def _start_anew(self) -> None:
        """Threads and connections that hang end when they can; nobody waits for them."""
        former, pool = self._threads, self.engine.pool
        self.engine.dispose()
        self._threads = self._new_threads()
        self._threads.take_over(former)
        former.end(then=pool.dispose)

    def close(self) -> None:
        """Ends the threads when what they have is done, and closes the connections."""
        if self._writer is not None:
            self._writer.close()
        self._threads.end()
        self._threads.join()
        self.engine.dispose()


def repeated(engine: Engine, work: Callable[[Connection], T], given_up: Callable[[], bool]) -> T:
    """Runs `work` in a transaction, once more where the database gave up on it before the commit. Nothing is committed
    for whoever was refused meanwhile.

    A connection that a restart of the server left dead, a deadlock: nothing was done, so repeating is safe. A commit
    whose outcome is unknown is never repeated.
    """
    tries = 0
    # One statement may have been carried out, although the connection was lost before it answered.
    sent = bool(engine.get_execution_options().get("otp_one_statement"))
    while True:
        tries += 1
        committing = False
        try:
            with engine.begin() as tx:
                result = work(tx)
                if given_up():
                    raise Unavailable("silent")
                committing = True
            return result
        except DBAPIError as error:
            lost = error.connection_invalidated and not sent
            repeatable = lost or getattr(error.orig, "sqlstate", None) == _DEADLOCK
            if committing or not repeatable or tries == MOST_TRIES or given_up():
                raise


_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)


@contextmanager
def translating() -> Iterator[None]:
    """A database that is away becomes Unavailable, without the driver's text: it can hold values."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable(_kind(error)) from None
    except DatabaseError as error:
        # A table that is not there yet: migrations have not run.
        if _kind(error) == "UndefinedTable":
            raise Unavailable("schema") from None
        # SQLite's word, without a kind, for a file that is damaged or no database.
        if type(error) is DatabaseError:
            raise Unavailable(_kind(error)) from None
        raise


def _kind(error: Exception) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, DBAPIError) and type(original).__module__.startswith("psycopg"):
        from otp_service.database import postgres

        return postgres.reason_of(original or error)
    return sqlite.reason_of(original or error)
