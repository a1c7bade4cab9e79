"""Who waits for a hash: checks before starts, clients in turn, and never longer than makes sense."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from otp_service import work_queue
from otp_service.errors import Refusal
from otp_service.work_queue import Rank, Turn, WorkQueue

FAST = 0.0001


class Time:
    """Time as the test lets it pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(work_queue, "elapsed", made)
    return made


def queue_of(threads: int, seconds: float) -> WorkQueue:
    """A queue whose works take so long."""
    queue = WorkQueue(threads)
    for _ in range(500):
        queue.note(seconds)
    return queue


@contextmanager
def held(queue: WorkQueue, rank: Rank, client: str, most: int = 10_000) -> Iterator[int]:
    """As many places as the client gets; how many they are."""
    with ExitStack() as stack:
        count = 0
        while count < most:
            try:
                stack.enter_context(queue.place(Turn(rank, client)))
            except Refusal:
                break
            count += 1
        yield count


def test_a_burst_gets_two_seconds_of_work_and_no_more_than_a_hundred_per_thread() -> None:
    with held(queue_of(2, 0.02), Rank.CHECK, "a") as count:
        assert count == pytest.approx(200, abs=1)
    with held(queue_of(2, 0.1), Rank.CHECK, "a") as count:
        assert count == pytest.approx(40, abs=1)
    with held(queue_of(2, FAST), Rank.CHECK, "a") as count:
        assert count == 200


def test_starts_get_half_of_it_and_checks_the_rest() -> None:
    queue = queue_of(2, FAST)
    with held(queue, Rank.START, "a") as starts, held(queue, Rank.CHECK, "a") as checks:
        assert (starts, checks) == (100, 100)


def test_a_queue_that_does_not_empty_lets_fewer_in_until_it_is_calm(time: Time) -> None:
    queue = queue_of(2, 0.02)
    with held(queue, Rank.CHECK, "a", 150):
        time.now += work_queue.PATIENCE_SECONDS / 2
        with held(queue, Rank.CHECK, "a", 20) as count:
            assert count == 20, "a burst may be followed by some more"
        time.now += work_queue.PATIENCE_SECONDS
        with pytest.raises(Refusal) as refused, queue.place(Turn(Rank.CHECK, "a")):
            pass
        assert refused.value.retry_after == pytest.approx(150 * 0.02 / 2, abs=1)
    with held(queue, Rank.CHECK, "a") as count:
        assert count == pytest.approx(200, abs=1), "calm again"


def test_what_is_out_already_is_never_refused() -> None:
    queue = queue_of(1, FAST)
    with held(queue, Rank.CHECK, "a"), queue.place(Turn(Rank.CHECK, "a"), always=True):
        pass


def test_beyond_half_nobody_takes_the_room_of_the_others() -> None:
    queue = queue_of(2, FAST)
    with held(queue, Rank.CHECK, "quiet", 1), held(queue, Rank.CHECK, "loud") as loud:
        assert loud == 100
        with held(queue, Rank.CHECK, "quiet") as quiet:
            assert quiet == 99
        with held(queue, Rank.CHECK, "third") as third:
            assert third == pytest.approx(200 / 3, abs=1)


async def finished(queue: WorkQueue, asked: list[Turn]) -> list[Turn]:
    """In which order these get their turn, while one has all threads."""
    order: list[Turn] = []

    async def work(turn: Turn) -> None:
        async with queue.turn(turn):
            order.append(turn)
            await asyncio.sleep(0)

    async with ExitStackOf(queue, 2):
        tasks = [asyncio.create_task(work(turn)) for turn in asked]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return order


class ExitStackOf:
    """Holds so many threads."""

    def __init__(self, queue: WorkQueue, count: int) -> None:
        self._held = [queue.turn(Turn(Rank.CHECK, "held")) for _ in range(count)]

    async def __aenter__(self) -> None:
        for each in self._held:
            await each.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        for each in self._held:
            await each.__aexit__(None, None, None)


async def test_checks_go_before_starts_and_clients_take_turns() -> None:
    asked = [Turn(Rank.START, "a")] + [Turn(Rank.CHECK, "a")] * 3 + [Turn(Rank.CHECK, "b")]
    order = await finished(WorkQueue(1), asked)
    assert [(turn.rank, turn.client) for turn in order] == [
        (Rank.CHECK, "a"),
        (Rank.CHECK, "b"),
        (Rank.CHECK, "a"),
        (Rank.CHECK, "a"),
        (Rank.START, "a"),
    ]


async def test_who_gives_up_while_waiting_leaves_the_turn_to_the_next() -> None:
    queue, turn, ran = WorkQueue(1), Turn(Rank.CHECK, "a"), []

    async def work(name: str) -> None:
        async with queue.turn(turn):
            ran.append(name)

    async with ExitStackOf(queue, 2):
        tasks = [asyncio.create_task(work(name)) for name in ("first", "second", "third")]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
    tasks[1].cancel()  # its turn has come in this very moment
    await asyncio.gather(*tasks, return_exceptions=True)
    assert ran == ["third"]
    await asyncio.gather(*(work("later") for _ in range(3)))
    assert ran[1:] == ["later"] * 3
