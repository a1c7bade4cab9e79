"""Whether PostgreSQL answers at all: a call that takes long may wait for a lock, or for a server that is gone.

A server that is frozen or cut off says nothing, and TCP waits for minutes. So while a call is under way for longer than
usual and no other one is answered, the server is asked something else; where it does not answer that either, every call
is given up.
"""

import asyncio
import threading
from collections.abc import Callable

import structlog

from otp_service.errors import Unavailable
from otp_service.threads import Job

log = structlog.get_logger("otp_service.watch")

USUAL_SECONDS = 0.25
ANSWER_WITHIN_SECONDS = 0.55
LAST_CHANCE_SECONDS = 0.05
"""Together less than a second: then whoever waits is told that the database is away."""
LONGEST_SECONDS = 3.0
"""A call that takes longer is given up, also where the server answers others."""
AGAIN_SECONDS = 0.5
"""After an answer it need not be asked again for so long."""
PATIENT_SECONDS = 10.0
"""Instead, where nobody waits but an operator."""


class Watch:
    """Over the jobs of one event loop. `ping`: whether the server answers, whatever it says; `start_anew`: the threads
    and connections that jobs were given up on are not used any more."""

    def __init__(
        self,
        ping: Callable[[], bool],
        start_anew: Callable[[], None],
        *,
        answer_within: float = ANSWER_WITHIN_SECONDS,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self._answer_within = answer_within
        self._longest = longest
        self._ping = ping
        self._start_anew = start_anew
        self._under_way: dict[Job, float] = {}
        self._heard_at = 0.0
        self._looking: asyncio.TimerHandle | asyncio.Task[None] | None = None
        self._silent = False

    def over(self, job: Job) -> None:
        """Looks after a job that is about to be started. Raises Unavailable while the server is silent."""
        if self._silent:
            raise Unavailable("silent")
        now = job.loop.time()
        self._under_way[job] = now
        job.waiting.add_done_callback(lambda _: self._heard(job))
        if self._looking is None:
            self._look_at(job.loop, now + USUAL_SECONDS)

    def _heard(self, job: Job) -> None:
        """A job has ended. Where it was not given up, the server has most likely answered."""
        if self._under_way.pop(job, None) is not None and not job.waiting.cancelled():
            self._heard_at = job.loop.time()

    def _look_at(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        self._looking = loop.call_at(when, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looking = None
        self._end_overdue(loop.time())
        oldest = next(iter(self._under_way.values()), None)
        if oldest is None:
            return
        # Where others are answered, this one waits for its turn, or for a lock.
        since = max(oldest, self._heard_at)
        if since + USUAL_SECONDS > loop.time():
            self._look_at(loop, since + USUAL_SECONDS)
        else:
            self._looking = loop.create_task(self._ask(loop))

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        while not await self._asked(loop):
            self._fall_silent()
        if self._silent:
            self._silent = False
            log.warning("database_answers_again")
        self._look_at(loop, loop.time() + AGAIN_SECONDS)

    async def _asked(self, loop: asyncio.AbstractEventLoop) -> bool:
        try:
            return await self._answers(loop)
        except Exception:  # noqa: BLE001 - no thread, no file to be had: that says nothing about the server
            await asyncio.sleep(self._answer_within)
            return not self._silent

    async def _answers(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether this question is answered, or a job meanwhile: behind a pooler a question may wait its turn, too."""
        asked_at = loop.time()
        job = Job.of(self._ping)
        # A thread of its own: one that hangs must not be in the way of the next.
        threading.Thread(target=job.run, name="db-ping", daemon=True).start()
        # Twice: where this process itself stood still, the time was over before it could hear the answer.
        for seconds in (self._answer_within, LAST_CHANCE_SECONDS):
            done, _ = await asyncio.wait({job.waiting}, timeout=seconds)
            if self._heard_at > asked_at or (done and job.waiting.result()):
                return True
        return False

    def _fall_silent(self) -> None:
        if not self._silent:
            self._silent = True
            log.warning("database_silent", under_way=len(self._under_way))
            self._give_up(list(self._under_way))

    def _end_overdue(self, now: float) -> None:
        """The server answers, but not these: their connections are dead, or somebody holds a lock for too long."""
        overdue = [job for job, started in self._under_way.items() if started + self._longest < now]
        if overdue:
            log.warning("calls_given_up", count=len(overdue))
            self._give_up(overdue)

    def _give_up(self, jobs: list[Job]) -> None:
        for job in jobs:
            job.given_up = True
            del self._under_way[job]
            if not job.waiting.done():
                job.waiting.set_exception(Unavailable("silent"))
        self._start_anew()
