"""Waits with limits that also suit a busy machine."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 120.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - what it asks lies in another process or in a database
            await asyncio.sleep(0.02)
