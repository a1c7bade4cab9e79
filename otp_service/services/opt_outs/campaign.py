"""Sends the campaign platform a keyword for each opt-out that came over the API, and for its end.

A claim is committed before the call. If the process dies in between, the outcome is `unknown`, and the keyword is never
sent again.
"""

from functools import partial

import structlog
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.gateways.base import Outcome, Sent
from otp_service.services.context import Context
from otp_service.services.delivery import lease_worker
from otp_service.services.opt_outs import keywords, opt_outs
from otp_service.storage import numbers
from otp_service.storage.queues import campaign_messages

log = structlog.get_logger("otp_service.campaign")

CONCURRENCY = 8
KEEP_TRYING_SECONDS = 86400.0


async def work(ctx: Context) -> None:
    """Send what is due."""
    claim, send = lease_worker.with_lease(ctx, campaign_messages.claim), partial(_send, ctx)
    is_due = campaign_messages.QUEUE.is_due
    await lease_worker.work(ctx, concurrency=CONCURRENCY, is_due=is_due, claim=claim, handle=send)


async def _send(ctx: Context, row: AnyRow) -> bool:
    to = numbers.open_number(ctx.vault, row.sealed)
    if to is None:
        sent = Sent(Outcome.REFUSED, "unreadable")
    else:
        sent = await ctx.gateway.send_keyword(to, row.keyword, ctx.gateway_timeout)
        ctx.gateway_health.record_read("fireMessage", sent)

    def step(tx: Connection) -> str:
        now = ctx.clock.now()
        if to is not None and sent.outcome is not Outcome.ACCEPTED:
            _disown_echo(tx, row, numbers.upsert(tx, ctx.vault, to, seen_until=now), now)
        return _settle(tx, row, sent, now)

    result = await lease_worker.settle(ctx, row.lease_until, step)
    log.info("campaign", message=row.id, outcome=sent.outcome.value, reason=sent.reason, result=result)
    return True


def _disown_echo(tx: Connection, row: AnyRow, number_id: int, now: float) -> None:
    """Opt the person out after all: a STOP was taken for the echo of a keyword that perhaps never arrived."""
    keyword = keywords.find(row.keyword)
    if keyword is not None and keyword.kind == "stop" and campaign_messages.has_echo(tx, row.id):
        opt_outs.add_by_user(tx, number_id, now)


def _settle(tx: Connection, row: AnyRow, sent: Sent, now: float) -> str:
    """Retry a refused keyword for a day; end it after every other outcome, also an unknown one."""
    retry_at = now + lease_worker.retry_seconds(row.tries)
    retried = sent.outcome is Outcome.REFUSED and retry_at <= row.created_at + KEEP_TRYING_SECONDS
    if retried and campaign_messages.retry(tx, row.id, row.tries, reason=sent.reason, due_at=retry_at):
        return "retried"
    settled = campaign_messages.settle(tx, row.id, row.tries, outcome=sent.outcome.value, reason=sent.reason)
    return "ended" if settled else "late"
