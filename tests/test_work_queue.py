"""Whose hash is next: checks before starts, clients in turn, and nobody too late."""

import asyncio

import pytest

from otp_service import work_queue
from otp_service.admission import Rank, Turn
from otp_service.work_queue import WorkQueue


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


async def test_a_start_that_is_owed_an_answer_goes_before_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    late, later = Turn(Rank.START, "a", due=2.0), Turn(Rank.START, "b", due=1.0)
    asked = [Turn(Rank.CHECK, "a"), Turn(Rank.START, "a"), late, later]
    monkeypatch.setattr(work_queue, "elapsed", lambda: 1.5)
    assert await finished(WorkQueue(1, 0.02), asked) == [later, asked[0], asked[1], late]
    monkeypatch.setattr(work_queue, "elapsed", lambda: 2.5)
    assert await finished(WorkQueue(1, 0.02), asked) == [later, late, asked[0], asked[1]]


async def test_a_start_gives_its_place_back_after_its_turn_and_a_check_keeps_it() -> None:
    queue = WorkQueue(1, 0.02)
    start, check = Turn(Rank.START, "a"), Turn(Rank.CHECK, "a")
    with queue.place(start), queue.place(check):
        for turn in (start, check):
            async with queue.turn(turn):
                assert turn.held
        assert (start.held, check.held) == (False, True)
    assert not check.held


async def test_checks_go_before_starts_and_clients_take_turns() -> None:
    asked = [Turn(Rank.START, "a")] + [Turn(Rank.CHECK, "a")] * 3 + [Turn(Rank.CHECK, "b")]
    order = await finished(WorkQueue(1, 0.02), asked)
    assert [(turn.rank, turn.client) for turn in order] == [
        (Rank.CHECK, "a"),
        (Rank.CHECK, "b"),
        (Rank.CHECK, "a"),
        (Rank.CHECK, "a"),
        (Rank.START, "a"),
    ]


async def test_who_gives_up_while_waiting_leaves_the_turn_to_the_next() -> None:
    queue, turn, ran = WorkQueue(1, 0.02), Turn(Rank.CHECK, "a"), []

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
