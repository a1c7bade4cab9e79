"""What the campaign platform is told of opt-outs that came over the API: each word once, and known when it comes back.

`fired_at` is committed before the call. A process that dies in between leaves a claim whose time runs out: `unknown`,
never told again.
"""

import asyncio

import structlog
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.gateways.base import Outcome, Sent
from otp_service.services.context import Context
from otp_service.services.delivery import backoff
from otp_service.services.numbers import open_number
from otp_service.storage import campaign_messages

log = structlog.get_logger("otp_service.campaign")

AT_ONCE = 8
"""Calls at the same time, of one process."""
LEASE_MARGIN_SECONDS = 20.0
"""Beyond the gateway's time: a busy machine and a slow database must not look like a death."""
KEEP_TRYING_SECONDS = 86400.0


async def work(ctx: Context) -> bool:
    """Tells what is due; True: there may be more."""
    if not await ctx.database.read(lambda tx: campaign_messages.is_due(tx, ctx.clock.now())):
        return False

    def step(tx: Connection) -> list[AnyRow]:
        now = ctx.clock.now()
        campaign_messages.abandon(tx, now, AT_ONCE)
        lease_until = now + ctx.gateway_timeout + LEASE_MARGIN_SECONDS
        return list(campaign_messages.claim(tx, now=now, lease_until=lease_until, limit=AT_ONCE))

    claimed = await ctx.database.write(step)
    # All of them end, also where one breaks: what is under way has a deadline, and its outcome should be known.
    for broken in await asyncio.gather(*(_tell(ctx, row) for row in claimed), return_exceptions=True):
        if broken is not None:
            raise broken
    return len(claimed) == AT_ONCE


async def _tell(ctx: Context, row: AnyRow) -> None:
    to = open_number(ctx.vault, row.sealed)
    if to is None:
        sent = Sent(Outcome.REFUSED, "unreadable")
    else:
        sent = await ctx.gateway.tell(to, row.keyword, ctx.gateway_timeout)
        ctx.gateway_health.record_read("fireMessage", sent.reason)
    result = await ctx.database.write(lambda tx: _settle(tx, row, sent, ctx.clock.now()))
    log.info("campaign", fire=row.id, outcome=sent.outcome.value, reason=sent.reason, result=result)


def _settle(tx: Connection, row: AnyRow, sent: Sent, now: float) -> str:
    """Refused for sure: again after a while. Else it is over, also where nobody knows how it went."""
    again_at = now + backoff.seconds(row.tries)
    again = sent.outcome is Outcome.REFUSED and again_at <= row.created_at + KEEP_TRYING_SECONDS
    if again and campaign_messages.wait(tx, row.id, row.tries, reason=sent.reason, due_at=again_at):
        return "again"
    settled = campaign_messages.settle(tx, row.id, row.tries, outcome=sent.outcome.value, reason=sent.reason)
    return "over" if settled else "late"
