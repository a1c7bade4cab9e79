"""The outbox: takes notifications out of the queue, sends each once, and notes how it went.

A claim is committed before the call. A process that dies in between leaves a row whose lease runs out: it becomes
`unknown` and is never sent again.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import Unavailable
from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.observability.metrics import NOTIFICATIONS
from otp_service.services.context import Context
from otp_service.services.delivery import backoff, message_ids, sending
from otp_service.services.notifications.notifications import TEXT
from otp_service.services.numbers import open_number
from otp_service.storage import notifications

log = structlog.get_logger("otp_service.outbox")

IN_FLIGHT = 16
"""Calls at the same time, of one process."""
LOOKS_EVERY_SECONDS = 1.0
LEASE_MARGIN_SECONDS = 10.0
"""Beyond the gateway's time: a busy machine and a slow database must not look like a death."""
LAST_TRY_SECONDS = 2.0
"""Before its time is over, so that it is not over when its turn comes."""
SETTLE_AGAIN_SECONDS = 0.5
BREAKER_OPEN = "breaker_open"


async def work(ctx: Context) -> bool:
    """Sends what is due, many at a time, until nothing is or the process stops; False: nothing more to do at once."""
    running: set[asyncio.Task[bool]] = set()
    taken = True
    try:
        while taken and not ctx.wakes.stopping.is_set():
            rows = await _claim(ctx, IN_FLIGHT - len(running))
            running |= {asyncio.create_task(_handle(ctx, row)) for row in rows}
            if not running:
                break
            done, running = await asyncio.wait(
                running, timeout=LOOKS_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            taken = all(task.result() for task in done)
        return False
    finally:
        # Also where the process is cut: what is under way has a deadline, and its outcome should be known.
        await asyncio.gather(*running, return_exceptions=True)


async def _claim(ctx: Context, limit: int) -> list[AnyRow]:
    """The next rows of the queue. A look comes first: what has nothing to do should not write."""
    if limit == 0 or not await ctx.database.read(lambda tx: notifications.is_due(tx, ctx.clock.now())):
        return []

    def step(tx: Connection) -> list[AnyRow]:
        now = ctx.clock.now()
        lease_until = now + ctx.gateway_timeout + LEASE_MARGIN_SECONDS
        return list(notifications.claim(tx, now=now, lease_until=lease_until, limit=limit))

    return await ctx.database.write(step)


async def _handle(ctx: Context, row: AnyRow) -> bool:
    """One claimed row, from the claim to its end; False where the gateway is left alone for a while."""
    if ctx.clock.now() > row.lease_until:
        return True  # this process was held up: the row has been given up, or is about to be
    message = _message(ctx, row)
    if isinstance(message, str):
        await _settle(ctx, row, "failed", notifications.left("failed", reason=message, now=ctx.clock.now()))
        return True
    route = "sms" if message.carrier is not None else "mt"
    sent = await sending.send(ctx, route, message, ctx.gateway_timeout)
    await _settle(ctx, row, *_ending(ctx, row, route, sent))
    return sent.reason != BREAKER_OPEN


def _message(ctx: Context, row: AnyRow) -> Message | str:
    """What to send, or the reason why nothing is."""
    if row.opted_out:
        return "opted_out"
    if ctx.clock.now() > _deadline(ctx, row):
        return "too_late"
    to, text = open_number(ctx.vault, row.sealed), ctx.vault.open(TEXT, row.text_sealed)
    if to is None or text is None:
        return "unreadable"
    return Message(to, text.decode(), row.carrier)


def _ending(ctx: Context, row: AnyRow, route: str, sent: Sent) -> tuple[str, dict[str, Any]]:
    """What became of it, for the metrics, and the row's columns."""
    now = ctx.clock.now()
    if sent.outcome is Outcome.ACCEPTED:
        left = notifications.left("sent", reason=None, now=now) | {"route": route, "sent_at": now}
        return "sent", left | _awaited(ctx, sent, now)
    if sent.outcome is Outcome.UNKNOWN:
        left = notifications.left("unknown", reason=sent.reason, now=now) | {"route": route}
        return "unknown", left | _awaited(ctx, sent, now)
    # What the breaker held back was no try.
    tries = row.tries - (sent.reason == BREAKER_OPEN)
    again_at = min(now + backoff.seconds(tries), _deadline(ctx, row) - LAST_TRY_SECONDS)
    if sent.passing and again_at > now:
        again = {"status": "queued", "reason": sent.reason, "route": route, "due_at": again_at, "tries": tries}
        return "retried", again
    return "failed", notifications.left("failed", reason=sent.reason, now=now) | {"route": route}


def _awaited(ctx: Context, sent: Sent, now: float) -> dict[str, Any]:
    """Of a message that may be out: what finds its receipt, and when to ask for it first."""
    asks = ctx.policy.receipts.poll_after
    if sent.message_id is None or not asks:
        return message_ids.kept(ctx.vault, sent.message_id)
    return {**message_ids.kept(ctx.vault, sent.message_id), "poll_at": now + asks[0]}


def _deadline(ctx: Context, row: AnyRow) -> float:
    return float(row.created_at + ctx.policy.notifications.keep_trying)


async def _settle(ctx: Context, row: AnyRow, result: str, values: Mapping[str, Any]) -> None:
    settled = await _settled(ctx, row, values)
    result = result if settled else "late"
    NOTIFICATIONS.labels(result).inc()
    log.info(
        "notification",
        notification=row.id,
        to=row.number_masked,
        route=values.get("route"),
        result=result,
        reason=values["reason"],
    )


async def _settled(ctx: Context, row: AnyRow, values: Mapping[str, Any]) -> bool:
    """Notes the outcome; again where the database is away for a moment, as long as the row is ours.

    Repeating is safe: it is about this very claim.
    """
    while True:
        try:
            return await ctx.database.write(lambda tx: notifications.settle(tx, row.id, row.tries, values))
        except Unavailable:
            if ctx.clock.now() > row.lease_until:
                raise
        await asyncio.sleep(SETTLE_AGAIN_SECONDS)
