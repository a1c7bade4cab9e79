"""Works on a queue of messages: claims what is due, handles many at a time, and settles each under its claim."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import Unavailable
from otp_service.services.context import Context

T = TypeVar("T")

CLAIM_EVERY_SECONDS = 1.0
LEASE_MARGIN_SECONDS = 10.0
"""On top of the gateway's time: a busy machine and a slow database must not look like a dead process."""
SETTLE_RETRY_SECONDS = 0.25
FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0


async def work(
    ctx: Context,
    *,
    concurrency: int,
    is_due: Callable[[Connection, float], bool],
    claim: Callable[[Connection, float, int], Sequence[AnyRow]],
    handle: Callable[[AnyRow], Coroutine[Any, Any, bool]],
    may_exceed: bool = False,
) -> None:
    """Handle what is due, `concurrency` rows at a time, until nothing is, the process stops or `handle` returns False.

    `claim(tx, now, limit)` returns claimed rows. `may_exceed`: it may return more than `limit`, also if that is 0.
    """
    running: set[asyncio.Task[bool]] = set()
    going = True

    def due(tx: Connection) -> bool:
        return is_due(tx, ctx.clock.now())

    def claimed(tx: Connection) -> Sequence[AnyRow]:
        return claim(tx, ctx.clock.now(), max(0, concurrency - len(running)))

    try:
        while going and not ctx.wakes.stopping.is_set():
            # A read comes first: a process that has nothing to do should not write.
            if (may_exceed or len(running) < concurrency) and await ctx.database.read(due):
                running |= {asyncio.create_task(handle(row)) for row in await ctx.database.write(claimed)}
            if not running:
                break
            done, running = await asyncio.wait(
                running, timeout=CLAIM_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            going = all(task.result() for task in done)
    finally:
        # Also if this task is canceled: what is in progress has a deadline, and its outcome should be known.
        await asyncio.gather(*running, return_exceptions=True)


async def settle(ctx: Context, until: float, step: Callable[[Connection], T]) -> T:
    """Run `step`, which stores the outcome of a send; repeat it until `until` while the database is away.

    Repeating is safe: it says the same about the same send or claim.
    """
    while True:
        try:
            return await ctx.database.write(step)
        except Unavailable:
            if ctx.clock.now() > until:
                raise
        await asyncio.sleep(SETTLE_RETRY_SECONDS)


def with_lease(ctx: Context, claim: Callable[..., Sequence[AnyRow]]) -> Callable[..., Sequence[AnyRow]]:
    """Return `claim(tx, now, limit)` for `work`, of a `claim` that needs `lease_until` too."""
    return lambda tx, now, limit: claim(tx, now, lease_until=lease_until(ctx, now), limit=limit)


def lease_until(ctx: Context, now: float) -> float:
    """Return when the lease of a claim made now ends."""
    return now + ctx.gateway_timeout + LEASE_MARGIN_SECONDS


def retry_seconds(tries: int) -> float:
    """Return how long to wait after so many tries: twice as long after each."""
    return min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(max(tries - 1, 0), 10))
