"""SQLite's one writer: a thread that commits all waiting jobs together, each in its own savepoint.

A commit waits for the disk, and SQLite allows one writer anyway. So jobs that arrive meanwhile share the next commit.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from otp_service.database import sqlite
from otp_service.database.sqlite_lock import WriteLock
from otp_service.database.threads import END_WITHIN_SECONDS, Job, Queue
from otp_service.errors import Unavailable

MOST_TOGETHER = 64


class Writer:
    """Runs jobs in its thread. An exception undoes its own job alone; a failed commit undoes all jobs of its round."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = WriteLock(str(engine.url.database))
        self._connection: Connection | None = None
        self._jobs: Queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="db", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """Return what `work` returns, after its commit. Raises what `work` raises, or the commit of its round."""
        job = Job(work)
        self._jobs.put(job)
        return await job.future

    def close(self) -> None:
        """End the thread after the jobs that wait."""
        self._jobs.put(None)
        self._thread.join(END_WITHIN_SECONDS)

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first]
            begun = False
            try:
                with sqlite.unavailable():
                    connection = self._connect()
                    with self._lock.held() as seconds:
                        sqlite.wait_for_lock(connection, seconds)
                        transaction = connection.begin()
                    begun = True
                    with transaction:
                        self._run_batch(connection, jobs)
            except BaseException as error:  # noqa: BLE001 - at begin or commit: all jobs of the round get it
                if not begun:  # Another process holds the lock, and the waiting jobs have waited as long.
                    jobs += self._take_waiting(MOST_TOGETHER)
                for job in jobs:
                    job.error = job.error or error
                if isinstance(error, SQLAlchemyError | Unavailable):
                    self._disconnect()
            for job in jobs:
                job.finish()
        self._disconnect()
        self._lock.close()

    def _connect(self) -> Connection:
        """Return the connection of all rounds, until one fails."""
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run_batch(self, tx: Connection, jobs: list[Job]) -> None:
        """Run the first job, then those that arrived meanwhile. The first needs no savepoint: nothing precedes it."""
        jobs[0].result = jobs[0].work(tx)
        for job in self._take_waiting(MOST_TOGETHER - 1):
            jobs.append(job)
            _run_in_savepoint(tx, job)

    def _take_waiting(self, most: int) -> Iterator[Job]:
        """Yield the jobs that wait, without waiting for more."""
        for _ in range(most):
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is None:
                self._jobs.put(None)
                return
            yield job


def _run_in_savepoint(tx: Connection, job: Job) -> None:
    # Past SQLAlchemy, whose own savepoints cost as much as a statement.
    cursor = tx.connection.cursor()
    cursor.execute("SAVEPOINT work")
    try:
        job.result = job.work(tx)
    except BaseException as error:  # noqa: BLE001 - the caller gets it
        job.error = error
        # This fails if SQLite itself has rolled everything back, as on a full disk: then no job's work is left.
        cursor.execute("ROLLBACK TO work")
    cursor.execute("RELEASE work")
