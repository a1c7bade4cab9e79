"""Sends queued notifications, each once, and records the outcome.

A claim is committed before the call. If the process dies in between, the notification becomes `unknown` when the lease
ends, and is never sent again.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from otp_service import phone
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.gateways import breaker
from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.observability.metrics import NOTIFICATIONS
from otp_service.services.context import Context
from otp_service.services.delivery import lease_worker, message_ids, sending, test_numbers
from otp_service.services.delivery.test_numbers import TEST_ROUTE
from otp_service.storage.numbers import open_number
from otp_service.storage.queues import notifications
from otp_service.vault import SealedFor

log = structlog.get_logger("otp_service.outbox")

CONCURRENCY = 16
LAST_TRY_SECONDS = 2.0
"""The last try comes this long before the time to keep trying ends."""


async def work(ctx: Context) -> None:
    """Send what is due."""
    claim, send = lease_worker.with_lease(ctx, notifications.claim), partial(_send, ctx)
    is_due = notifications.QUEUE.is_due
    await lease_worker.work(ctx, concurrency=CONCURRENCY, is_due=is_due, claim=claim, handle=send)


async def _send(ctx: Context, row: AnyRow) -> bool:
    """Send one claimed row and settle it; False if the circuit breaker is open."""
    if ctx.clock.now() > row.lease_until:
        return True  # this process was held up: the row is abandoned, or about to be
    message = _message(ctx, row)
    if isinstance(message, str):
        await _settle(ctx, row, "failed", notifications.ended("failed", reason=message, now=ctx.clock.now()))
        return True
    if row.route == TEST_ROUTE:
        route, sent = TEST_ROUTE, Sent(Outcome.ACCEPTED, test_numbers.REASON)
    else:
        route = "sms" if message.carrier is not None else "mt"
        sent = await sending.send(ctx, route, message, ctx.gateway_timeout)
    await _settle(ctx, row, *_outcome(ctx, row, route, sent))
    return sent.reason != breaker.OPEN


def _message(ctx: Context, row: AnyRow) -> Message | str:
    """Return what to send, or the reason why nothing is sent."""
    if row.opted_out:
        return "opted_out"
    if row.client_revoked:
        return "client_revoked"
    if ctx.clock.now() > _deadline(ctx, row):
        return "too_late"
    to, text = open_number(ctx.vault, row.sealed), ctx.vault.open(SealedFor.NOTIFICATION, row.text_sealed)
    if to is None or text is None:
        return "unreadable"
    if row.route != TEST_ROUTE:
        try:
            phone.parse_served(to, ctx.countries)
        except Refusal as refusal:  # the countries, or the numbering plans, have changed since it was queued
            return refusal.code
    return Message(to, text.decode(), row.carrier)


def _outcome(ctx: Context, row: AnyRow, route: str, sent: Sent) -> tuple[str, dict[str, Any]]:
    """Return the result for logs and metrics, and the columns that settle the row."""
    now = ctx.clock.now()
    if sent.outcome is Outcome.ACCEPTED:
        sent_columns = {"route": route, "sent_at": now, **message_ids.receipt_columns(ctx, sent, now, only_by_id=True)}
        return "sent", notifications.ended("sent", reason=None, now=now) | sent_columns
    if sent.outcome is Outcome.UNKNOWN:
        sent_columns = {"route": route, **message_ids.receipt_columns(ctx, sent, now, only_by_id=True)}
        return "unknown", notifications.ended("unknown", reason=sent.reason, now=now) | sent_columns
    # An open breaker made no call: this was no try.
    tries = row.tries - (sent.reason == breaker.OPEN)
    retry_at = min(now + lease_worker.retry_seconds(tries), _deadline(ctx, row) - LAST_TRY_SECONDS)
    if sent.passing and retry_at > now:
        return "retried", {
            "status": "queued",
            "reason": sent.reason,
            "route": route,
            "due_at": retry_at,
            "tries": tries,
        }
    return "failed", notifications.ended("failed", reason=sent.reason, now=now) | {"route": route}


def _deadline(ctx: Context, row: AnyRow) -> float:
    return float(row.created_at + ctx.policy.notifications.keep_trying)


async def _settle(ctx: Context, row: AnyRow, result: str, values: Mapping[str, Any]) -> None:
    settled = await lease_worker.settle(
        ctx, row.lease_until, lambda tx: notifications.settle(tx, row.id, row.tries, values)
    )
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
