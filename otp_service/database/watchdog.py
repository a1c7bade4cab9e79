"""Gives up calls that PostgreSQL does not answer.

A server that is frozen or cut off says nothing, and TCP waits for minutes.
"""

import asyncio
import math
import threading
import time
from functools import partial

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from otp_service.database import postgres
from otp_service.database.threads import Job, running_job
from otp_service.errors import Unavailable

log = structlog.get_logger("otp_service.watchdog")

SILENCE_SECONDS = 0.9
"""The server has answered no call for so long."""
LONGEST_SECONDS = 3.0
"""One call takes so long, although others are answered: it waits for a lock, or its connection is dead."""
PATIENT_SECONDS = 15.0
"""The silence that an operator's command accepts: the server itself ends a statement earlier."""
LATE_SECONDS = 0.1
"""If a timer is later than this, this process stood still, and answers may lie unread."""


class Watchdog:
    """Tracks the calls of one event loop.

    If a call is overdue, its caller gets Unavailable, and the shutdown of its socket frees its thread.
    """

    def __init__(self, engine: Engine, *, patient: bool = False) -> None:
        self._silence = PATIENT_SECONDS if patient else SILENCE_SECONDS
        self._longest = math.inf if patient else LONGEST_SECONDS
        self._began: dict[Job, float] = {}
        self._answered_at = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._shutting_down = threading.Lock()
        sa.event.listen(engine, "connect", self._on_connect, insert=True)
        sa.event.listen(engine, "checkout", _on_checkout, insert=True)
        # A connection that has left the job is another job's soon, or its descriptor another socket's.
        sa.event.listen(engine, "checkin", self._on_leave)
        sa.event.listen(engine, "close", self._on_leave)

    def track(self, job: Job) -> None:
        """Give the job up if it takes too long."""
        self._began[job] = time.monotonic()
        job.on_end = partial(self._ended, job)
        if self._timer is None:
            self._schedule(self._silence)

    def _ended(self, job: Job) -> None:
        if self._began.pop(job, None) is not None:  # else it was given up, and nothing was answered
            self._answered_at = time.monotonic()

    def _on_connect(self, connection: postgres.AnyConnection, *_: object) -> None:
        self._answered_at = time.monotonic()
        _on_checkout(connection)

    def _schedule(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._check, due)

    def _check(self, due: float) -> None:
        self._timer = None
        now = time.monotonic()
        if now > due + LATE_SECONDS:
            self._schedule(LATE_SECONDS)
            return
        overdue = [job for job, began in self._began.items() if self._deadline(began) <= now]
        if overdue:
            log.warning("calls_given_up", count=len(overdue), silent_seconds=round(now - self._answered_at, 1))
        for job in overdue:
            self._give_up(job)
        if self._began:
            self._schedule(max(0.0, self._deadline(next(iter(self._began.values()))) - now))

    def _deadline(self, began: float) -> float:
        return min(max(began, self._answered_at) + self._silence, began + self._longest)

    def _give_up(self, job: Job) -> None:
        self._began.pop(job, None)
        job.give_up(Unavailable("silent"))
        with self._shutting_down:
            if job.connection is not None:
                postgres.shut_down(job.connection)

    def _on_leave(self, *_: object) -> None:
        """Forget the connection of the running job, before anybody else can get it."""
        if (job := running_job()) is not None:
            with self._shutting_down:
                job.connection = None


def _on_checkout(connection: postgres.AnyConnection, *_: object) -> None:
    if (job := running_job()) is not None:
        job.connection = connection
