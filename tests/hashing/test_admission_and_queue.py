"""Minutes of load through admission and queue together, in a time that passes by itself: who waits, and how long."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from otp_service.errors import Refusal
from otp_service.hashing import admission, recent, work_queue
from otp_service.hashing.admission import Admission, Rank, Ticket
from otp_service.hashing.work_queue import WorkQueue

HASH_SECONDS = 0.02
THREADS = 2
"""A hundred hashes a second."""
SECONDS = 60.0


class Loop(asyncio.SelectorEventLoop):
    """Where nothing is to be done at once, it is the next time at which something is."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def passing(timeout: float | None = None) -> object:
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = passing  # type: ignore[attr-defined]

    def time(self) -> float:
        """Of this loop alone."""
        return self.now


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    made = Loop()
    for module in (admission, recent, work_queue):
        monkeypatch.setattr(module, "elapsed", made.time)
    yield made
    made.close()


@dataclass
class Found:
    """Of one client: how long its calls took, and how many were refused."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0


@dataclass(frozen=True)
class Stream:
    """Calls of a client at random times, so many a second, from `begins` on; each with a commit before its hash and
    one after it."""

    rank: Rank
    client: str
    rate: float
    begins: float = 0.0
    commit_seconds: float = 0.0


async def run(streams: list[Stream], gateway_seconds: float) -> dict[str, Found]:
    """What became of the calls of each client."""
    made = Admission(THREADS, HASH_SECONDS)
    queue, chance, found = WorkQueue(THREADS, made), random.Random(1), defaultdict[str, Found](Found)
    cores, now = asyncio.Semaphore(THREADS), asyncio.get_running_loop().time

    async def hashed(ticket: Ticket) -> None:
        asked = now()
        async with queue.turn(ticket), cores:
            waited = now() - asked
            await asyncio.sleep(HASH_SECONDS)
        made.note(ticket, waited, HASH_SECONDS)

    async def call(stream: Stream) -> None:
        ticket, begun = Ticket(stream.rank, stream.client), now()
        try:
            with made.place(ticket):
                if stream.rank is Rank.START:
                    with made.away(ticket):
                        await asyncio.sleep(gateway_seconds)
                await asyncio.sleep(stream.commit_seconds)
                await hashed(ticket)
                await asyncio.sleep(stream.commit_seconds)
            found[stream.client].seconds.append(now() - begun)
        except Refusal:
            found[stream.client].refused += 1

    async def come(stream: Stream, calls: asyncio.TaskGroup) -> None:
        await asyncio.sleep(stream.begins)
        while now() < SECONDS:
            await asyncio.sleep(chance.expovariate(stream.rate))
            calls.create_task(call(stream))

    async with asyncio.TaskGroup() as calls:
        for stream in streams:
            calls.create_task(come(stream, calls))
    return found


@pytest.mark.parametrize("gateway_seconds", [0.3, 2.0, 6.0])
def test_starts_without_end_at_a_slow_gateway_take_nothing_from_checks_and_are_in_time(
    loop: Loop, gateway_seconds: float
) -> None:
    streams = [Stream(Rank.START, "loud", 150), Stream(Rank.CHECK, "checks", 30, begins=20)]
    found = loop.run_until_complete(run(streams, gateway_seconds))
    assert found["checks"].refused == 0
    assert max(found["checks"].seconds) < 0.5
    assert max(found["loud"].seconds) < 10
    assert len(found["loud"].seconds) > 0.7 * 70 * (SECONDS - gateway_seconds), "the threads are busy"


def test_where_the_gateway_takes_nine_seconds_starts_are_in_time_once_that_is_known(loop: Loop) -> None:
    streams = [Stream(Rank.START, "first", 5), Stream(Rank.START, "loud", 150, begins=20)]
    found = loop.run_until_complete(run(streams, 8.8))
    assert max(found["loud"].seconds) < 10


@pytest.mark.parametrize("gateway_seconds", [0.3, 6.0])
def test_a_quiet_client_starts_as_it_likes_beside_loud_ones(loop: Loop, gateway_seconds: float) -> None:
    streams = [Stream(Rank.START, f"loud {at}", 30) for at in range(10)]
    found = loop.run_until_complete(run([*streams, Stream(Rank.START, "quiet", 2, begins=5)], gateway_seconds))
    assert found["quiet"].refused == 0
    assert max(found["quiet"].seconds) < gateway_seconds + 1


def test_slow_commits_are_no_queue(loop: Loop) -> None:
    found = loop.run_until_complete(run([Stream(Rank.CHECK, "checks", 60, commit_seconds=0.5)], 0.0))
    assert found["checks"].refused == 0
