"""The loops beside the requests: a bad round ends nothing, new work wakes them, and a stop lets a step finish."""

import asyncio

import pytest

from otp_service.errors import Unavailable
from otp_service.services.operations import loops
from otp_service.services.operations.loops import Loop
from tests.support.patience import PATIENCE

LONG = 3600.0


async def test_a_step_is_repeated_at_once_while_there_is_more() -> None:
    left, done = [3], asyncio.Event()

    async def step() -> bool:
        left[0] -= 1
        if left[0] == 0:
            done.set()
        return left[0] > 0

    loop = Loop("test", step, LONG)
    loop.wake.set()
    async with loops.running([loop]), asyncio.timeout(PATIENCE):
        await done.wait()
    assert left == [0]


async def test_a_step_that_breaks_is_tried_again() -> None:
    tried, done = [0], asyncio.Event()

    async def step() -> bool:
        tried[0] += 1
        if tried[0] == 1:
            raise Unavailable("away")
        if tried[0] == 2:
            raise ValueError("broken")
        done.set()
        return False

    async with loops.running([Loop("test", step, 0.001)]), asyncio.timeout(PATIENCE):
        await done.wait()


async def test_a_stop_lets_the_step_under_way_finish_and_begins_none() -> None:
    begun, finished = asyncio.Event(), asyncio.Event()

    async def step() -> bool:
        assert not begun.is_set(), "no other step after the stop"
        begun.set()
        await asyncio.sleep(0.05)
        finished.set()
        return True

    loop = Loop("test", step, LONG)
    loop.wake.set()
    async with loops.running([loop]), asyncio.timeout(PATIENCE):
        await begun.wait()
    assert finished.is_set()


async def test_a_step_that_takes_too_long_to_stop_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "STOP_SECONDS", 0.05)
    begun = asyncio.Event()

    async def step() -> bool:
        begun.set()
        await asyncio.sleep(LONG)
        return False

    loop = Loop("test", step, LONG)
    loop.wake.set()
    async with asyncio.timeout(PATIENCE), loops.running([loop]):
        await begun.wait()
