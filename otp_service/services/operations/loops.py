"""Background loops. Every process runs all of them; the database makes sure that no work is done twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from otp_service.errors import Unavailable

log = structlog.get_logger("otp_service.loops")

STOP_SECONDS = 10.0
"""A call of the gateway may take this long."""


@dataclass
class Wakes:
    """Events that end a loop's pause early because there is new work. `stopping`: loops start nothing new."""

    outbox: asyncio.Event = field(default_factory=asyncio.Event)
    campaign: asyncio.Event = field(default_factory=asyncio.Event)
    webhooks: asyncio.Event = field(default_factory=asyncio.Event)
    inbound: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Loop:
    """A step that is repeated with a pause of `pause` seconds, or without one if it returns True: there is more."""

    name: str
    step: Callable[[], Awaitable[bool | None]]
    pause: float
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def running(loops: list[Loop]) -> AsyncIterator[None]:
    """Run the loops while the block runs. At its end a step may finish; one that takes too long is canceled."""
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
        return await loop.step() is True
    except Unavailable:
        log.warning("loop_failed", loop=loop.name, reason="the database is unavailable")
    except Exception:  # one failed step must not end the loop
        log.error("loop_failed", loop=loop.name, exc_info=True)
    return False
