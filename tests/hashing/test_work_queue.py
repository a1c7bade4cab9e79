"""Whose hash is next: checks before starts, clients in turn, and nobody too late."""

import asyncio

import pytest

from otp_service.hashing import work_queue
from otp_service.hashing.admission import Admission, Rank, Ticket
from otp_service.hashing.work_queue import WorkQueue


async def finished(queue: WorkQueue, asked: list[Ticket]) -> list[Ticket]:
    """In which order these get their ticket, while one has all threads."""
    order: list[Ticket] = []

    async def work(ticket: Ticket) -> None:
        async with queue.turn(ticket):
            order.append(ticket)
            await asyncio.sleep(0)

    async with ExitStackOf(queue, 2):
        tasks = [asyncio.create_task(work(ticket)) for ticket in asked]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return order


class ExitStackOf:
    """Holds so many threads."""

    def __init__(self, queue: WorkQueue, count: int) -> None:
        self._held = [queue.turn(Ticket(Rank.CHECK, "held")) for _ in range(count)]

    async def __aenter__(self) -> None:
        for each in self._held:
            await each.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        for each in self._held:
            await each.__aexit__(None, None, None)


async def test_a_start_that_is_owed_an_answer_goes_before_the_next_check(monkeypatch: pytest.MonkeyPatch) -> None:
    late, later = Ticket(Rank.START, "a", due=2.0), Ticket(Rank.START, "b", due=1.0)
    asked = [Ticket(Rank.CHECK, "a"), Ticket(Rank.START, "a"), late, later]
    monkeypatch.setattr(work_queue, "elapsed", lambda: 1.5)
    assert await finished(WorkQueue(1, Admission(1, 0.02)), asked) == [later, asked[0], asked[1], late]
    monkeypatch.setattr(work_queue, "elapsed", lambda: 2.5)
    assert await finished(WorkQueue(1, Admission(1, 0.02)), asked) == [later, asked[0], late, asked[1]], "by turns"


async def test_a_start_gives_its_place_back_after_its_turn_and_a_check_keeps_it() -> None:
    admission = Admission(1, 0.02)
    queue = WorkQueue(1, admission)
    start, check = Ticket(Rank.START, "a"), Ticket(Rank.CHECK, "a")
    with admission.place(start), admission.place(check):
        for ticket in (start, check):
            async with queue.turn(ticket):
                assert ticket.held
        assert (start.held, check.held) == (False, True)
    assert not check.held


async def test_checks_go_before_starts_and_clients_take_turns() -> None:
    asked = [Ticket(Rank.START, "a")] + [Ticket(Rank.CHECK, "a")] * 3 + [Ticket(Rank.CHECK, "b")]
    order = await finished(WorkQueue(1, Admission(1, 0.02)), asked)
    assert [(ticket.rank, ticket.client) for ticket in order] == [
        (Rank.CHECK, "a"),
        (Rank.CHECK, "b"),
        (Rank.CHECK, "a"),
        (Rank.CHECK, "a"),
        (Rank.START, "a"),
    ]


async def test_who_gives_up_while_waiting_leaves_the_turn_to_the_next() -> None:
    queue, ticket, ran = WorkQueue(1, Admission(1, 0.02)), Ticket(Rank.CHECK, "a"), []

    async def work(name: str) -> None:
        async with queue.turn(ticket):
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
