"""Work that runs in threads, and whoever waits for it in an event loop."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

END_WITHIN_SECONDS = 2.0
"""A thread that hangs in the database must not hold up the end of the process."""


@dataclass(eq=False)
class Job:
    """One piece of work, who waits for it, and what came of it."""

    work: Callable[..., Any]
    loop: asyncio.AbstractEventLoop
    waiting: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = field(default=None)
    given_up: bool = False
    """Whoever waited was refused: what has not been done must not be done afterwards."""

    @classmethod
    def of(cls, work: Callable[..., Any]) -> "Job":
        """A job that the running loop waits for."""
        loop = asyncio.get_running_loop()
        return cls(work, loop, loop.create_future())

    def run(self) -> None:
        """Runs it in the calling thread and tells whoever waits."""
        if self.given_up:
            return
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - whoever waits for the job gets it
            self.error = error
        answer((self,))


Queue = queue.SimpleQueue[Job | None]
"""None: whoever gets it ends."""


def answer(jobs: Iterable[Job]) -> None:
    """Tells those who wait, from a thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, of_loop in by_loop.items():
        with suppress(RuntimeError):  # a loop that is closed waits for nothing
            loop.call_soon_threadsafe(_settle, of_loop)


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        if job.waiting.done():  # cancelled, or given up
            continue
        if job.error is None:
            job.waiting.set_result(job.result)
        elif isinstance(job.error, StopIteration):  # which no future takes
            job.waiting.set_exception(RuntimeError("StopIteration"))
        else:
            job.waiting.set_exception(job.error)


class Threads:
    """Runs jobs in so many threads, each by itself."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: Queue = queue.SimpleQueue()
        self._then: Callable[[], None] = lambda: None
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """Runs it as soon as a thread is free."""
        self._jobs.put(job)

    def end(self, then: Callable[[], None] = lambda: None) -> None:
        """Each thread ends after what is waiting, and does this last."""
        self._then = then
        for _ in self._threads:
            self._jobs.put(None)

    def take_over(self, others: "Threads") -> None:
        """Runs what waits for other threads, which may never come to it."""
        with suppress(queue.Empty):
            while (job := others._jobs.get_nowait()) is not None:
                self._jobs.put(job)

    def join(self) -> None:
        """Waits for their end, but not for ever."""
        until = time.monotonic() + END_WITHIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
        self._then()
