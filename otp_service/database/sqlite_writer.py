"""SQLite's one writer: a thread that commits together what is waiting, each piece in a savepoint of its own.

A commit waits for the disk, and SQLite has one writer anyway: who waits meanwhile shares the next commit.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from otp_service.database import sqlite
from otp_service.database.sqlite_lock import WriteLock
from otp_service.errors import Unavailable
from otp_service.threads import END_WITHIN_SECONDS, Job, Queue, answer

MOST_TOGETHER = 64


class Writer:
    """Runs works in its thread. An exception undoes its own work alone; a commit that fails undoes all of its round."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turns = WriteLock(str(engine.url.database))
        self._connection: Connection | None = None
        self._jobs: Queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="db", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """What `work` returns, once it is committed. Raises what it raises, or what the commit of its round does."""
        job = Job.of(work)
        self._jobs.put(job)
        return await job.waiting

    def close(self) -> None:
        """Ends the thread when what is waiting is done."""
        self._jobs.put(None)
        self._thread.join(END_WITHIN_SECONDS)

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first]
            begun = False
            try:
                with sqlite.unavailable():
                    connection = self._connected()
                    with self._turns.held() as seconds:
                        sqlite.wait_for_lock(connection, seconds)
                        transaction = connection.begin()
                    begun = True
                    with transaction:
                        self._round(connection, jobs)
            except BaseException as error:  # noqa: BLE001 - at begin or commit, or of the whole transaction: everybody's
                if not begun:  # somebody else holds the lock: who waited meanwhile has waited long enough
                    jobs += self._waiting(MOST_TOGETHER)
                for job in jobs:
                    job.error = job.error or error
                if isinstance(error, SQLAlchemyError | Unavailable):
                    self._disconnect()
            answer(jobs)
        self._disconnect()
        self._turns.close()

    def _connected(self) -> Connection:
        """One connection for all rounds, as long as nothing goes wrong with it."""
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _round(self, tx: Connection, jobs: list[Job]) -> None:
        """Runs the first job, then those that came meanwhile. The first needs no savepoint: nothing is before it."""
        jobs[0].result = jobs[0].work(tx)
        for job in self._waiting(MOST_TOGETHER - 1):
            jobs.append(job)
            _run_one(tx, job)

    def _waiting(self, most: int) -> Iterator[Job]:
        """The jobs that are there, one after the other."""
        for _ in range(most):
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is None:
                self._jobs.put(None)
                return
            yield job


def _run_one(tx: Connection, job: Job) -> None:
    # Past SQLAlchemy, whose own savepoints cost as much as a statement.
    cursor = tx.connection.cursor()
    cursor.execute("SAVEPOINT work")
    try:
        job.result = job.work(tx)
    except BaseException as error:  # noqa: BLE001 - whoever waits for the job gets it
        job.error = error
        # Fails where SQLite itself has rolled everything back, as on a full disk: then nobody's work is there.
        cursor.execute("ROLLBACK TO work")
    cursor.execute("RELEASE work")
