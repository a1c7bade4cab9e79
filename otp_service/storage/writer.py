"""SQLite's one writer: a thread that commits together what is waiting, each piece in a savepoint of its own.

A commit waits for the disk, and SQLite has one writer anyway: who waits meanwhile shares the next commit.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection, Engine

MOST_TOGETHER = 64

Work = Callable[[Connection], Any]


@dataclass(eq=False)
class _Job:
    """One piece of work, who waits for it, and what came of it."""

    work: Work
    loop: asyncio.AbstractEventLoop
    waiting: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = field(default=None)


class Writer:
    """Runs works in its thread. An exception undoes its own work alone; a commit that fails undoes all of its round."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="db", daemon=True)
        self._thread.start()

    async def run(self, work: Work) -> Any:
        """What `work` returns, once it is committed. Raises what it raises, or what the commit of its round does."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        self._jobs.put(job)
        return await job.waiting

    def close(self) -> None:
        """Ends the thread when what is waiting is done."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first]
            try:
                with self._engine.begin() as tx:
                    self._round(tx, jobs)
            except BaseException as error:  # noqa: BLE001 - at begin or commit, or of the whole transaction: everybody's
                for job in jobs:
                    job.error = job.error or error
            _answer(jobs)

    def _round(self, tx: Connection, jobs: list[_Job]) -> None:
        """Runs the first job, then those that came meanwhile."""
        _run_one(tx, jobs[0])
        while len(jobs) < MOST_TOGETHER:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is None:
                self._jobs.put(None)
                return
            jobs.append(job)
            _run_one(tx, job)


def _run_one(tx: Connection, job: _Job) -> None:
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


def _answer(jobs: list[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, of_loop in by_loop.items():
        with suppress(RuntimeError):  # a loop that is closed waits for nothing
            loop.call_soon_threadsafe(_settle, of_loop)


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.waiting.done():  # cancelled
            continue
        if job.error is not None:
            job.waiting.set_exception(job.error)
        else:
            job.waiting.set_result(job.result)
