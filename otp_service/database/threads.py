"""Threads that run jobs for event loops, and end with the process even if a job hangs."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

END_WITHIN_SECONDS = 2.0
"""A thread that hangs does not delay the end of the process for longer."""

_running = threading.local()


class Job:
    """Work for a thread, and the future that its caller waits for in the running event loop.

    A job can be given up: its caller gets an error, and the work is skipped, or must be undone. `on_end` is called in
    the event loop when the work has ended.
    """

    def __init__(self, work: Callable[..., Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.connection: Any = None
        self.is_given_up = False
        self.on_end: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def give_up(self, error: Exception) -> None:
        """Raise `error` at the caller."""
        self.is_given_up = True
        if not self.future.done():
            self.future.set_exception(error)

    def run(self) -> None:
        """Run the work in this thread."""
        if self.is_given_up:
            return
        _running.job = self
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            self.error = error
        self.finish()

    def finish(self) -> None:
        """Tell the caller from this thread what came of the work."""
        with suppress(RuntimeError):  # A closed loop has no callers.
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self.on_end()
        if self.future.done():  # The caller stopped waiting.
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


Queue = queue.SimpleQueue[Job | None]
"""The thread that gets None ends."""


def running_job() -> Job | None:
    """Return the job that this thread runs."""
    return getattr(_running, "job", None)


class Threads:
    """A fixed number of threads that take jobs from one queue."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: Queue = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """Run the job as soon as a thread is free."""
        self._jobs.put(job)

    def close(self) -> None:
        """End the threads after the jobs that wait, and wait for them, but not forever."""
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + END_WITHIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
