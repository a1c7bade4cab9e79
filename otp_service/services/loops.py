"""What goes on beside the requests: every process does all of it, and the database sees to it that nothing is done
twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from otp_service.errors import Unavailable

log = structlog.get_logger("otp_service.background")

STOP_SECONDS = 10.0
"""As long as a call of the gateway may take."""


@dataclass
class Wakes:
    """What ends a loop's pause early: this process knows of new work. `stopping`: it should take up no more."""

    outbox: asyncio.Event = field(default_factory=asyncio.Event)
    campaign: asyncio.Event = field(default_factory=asyncio.Event)
    inbound: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Loop:
    """`step` is run again and again with a pause of `pause` seconds, or none while it returns True: there is more."""

    name: str
    step: Callable[[], Awaitable[bool]]
    pause: float
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def running(loops: list[Loop]) -> AsyncIterator[None]:
    """Runs the loops while the block runs. At its end a step under way may finish; one that takes too long is cut."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(_run(loop, stopping), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        stopping.set()
        for loop in loops:
            loop.wake.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _run(loop: Loop, stopping: asyncio.Event) -> None:
    more = False
    while not stopping.is_set():
        if not more:
            await _pause(loop)
        more = not stopping.is_set() and await _step(loop)


async def _pause(loop: Loop) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(loop.pause):
            await loop.wake.wait()
    loop.wake.clear()


async def _step(loop: Loop) -> bool:
    try:
        return await loop.step()
    except Unavailable:
        log.warning("loop_failed", loop=loop.name, reason="the database is away")
    except Exception:  # one bad round must not end all rounds
        log.error("loop_failed", loop=loop.name, exc_info=True)
    return False
