"""Posts events to receivers until they take them: each at least once, in no promised order.

A claim is committed before the post. If the process dies in between, the event is posted again when the lease ends.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.gateways.webhooks import TOTAL_SECONDS, Posted
from otp_service.observability.metrics import WEBHOOKS, WEBHOOKS_DISABLED
from otp_service.services.context import Context
from otp_service.services.delivery import lease_worker
from otp_service.services.webhooks import messages
from otp_service.services.webhooks.messages import AsJson
from otp_service.services.webhooks.webhooks import require_webhook
from otp_service.storage import webhooks
from otp_service.storage.queues import webhook_deliveries

log = structlog.get_logger("otp_service.webhooks")

CONCURRENCY = 64
"""At once in a process, and one more for each client that has none of them."""
RETRY_SECONDS = (5.0, 30.0, 120.0, 600.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0)
DISABLED_AFTER_SECONDS = 3 * 86400.0
GONE = 410
LEASE_SECONDS = TOTAL_SECONDS + lease_worker.LEASE_MARGIN_SECONDS


@dataclass(frozen=True)
class Tested:
    """What came of a test event. `error`: None if the receiver took it."""

    delivered: bool
    status_code: int | None
    error: str | None


async def work(ctx: Context, as_json: AsJson) -> None:
    """Post what is due."""

    def claim(tx: Connection, now: float, limit: int) -> Sequence[AnyRow]:
        return webhook_deliveries.claim(tx, now, lease_until=now + LEASE_SECONDS, limit=limit)

    is_due, deliver = webhook_deliveries.QUEUE.is_due, partial(_deliver, ctx, as_json)
    await lease_worker.work(ctx, concurrency=CONCURRENCY, is_due=is_due, claim=claim, handle=deliver, may_exceed=True)


async def test(ctx: Context, client_id: str, webhook_id: str) -> Tested:
    """Post a test event now; success enables a disabled webhook, and counts as any. Refusal: `not_found`."""
    with ctx.concurrency.of_client(client_id):
        webhook = await ctx.database.read(lambda tx: require_webhook(tx, webhook_id, client_id))
        content = messages.body("webhook.test", ctx.clock.now(), {"webhook_id": webhook_id})
        posted = await _post(ctx, webhook, f"whd_{secrets.token_hex(16)}", content)
        if posted.error is None:
            await ctx.database.write(partial(_record_success_of_test, webhook_id))
    return Tested(posted.error is None, posted.status_code, posted.error)


def _record_success_of_test(webhook_id: str, tx: Connection) -> None:
    webhooks.enable(tx, webhook_id)
    webhooks.record_success(tx, webhook_id)


async def _deliver(ctx: Context, as_json: AsJson, event: AnyRow) -> bool:
    """Post one claimed event and settle it."""
    if ctx.clock.now() > event.lease_until:
        return True  # this process was held up: another one posts it
    if event.client_revoked:
        posted = Posted(None, "client_revoked")
    else:
        content = messages.body(event.type, event.created_at, as_json(messages.resource_of(ctx, event)))
        posted = await _post(ctx, event, event.id, content)

    def step(tx: Connection) -> tuple[str, str | None]:
        return _settle(tx, event, posted, ctx.clock.now())

    result, disabled = await lease_worker.settle(ctx, event.lease_until, step)
    WEBHOOKS.labels(result).inc()
    log.info("webhook", webhook=event.webhook_id, delivery=event.id, type=event.type, result=result, error=posted.error)
    if disabled is not None:
        WEBHOOKS_DISABLED.labels(disabled).inc()
        log.warning("webhook_disabled", webhook=event.webhook_id, reason=disabled)
    return True


async def _post(ctx: Context, webhook: AnyRow, message_id: str, content: bytes) -> Posted:
    signing = messages.open_secrets(ctx, webhook)
    if not signing:
        return Posted(None, "unreadable_secret")
    return await ctx.webhooks.post(
        webhook.url, content, messages.headers(message_id, ctx.clock.now(), content, signing)
    )


def _settle(tx: Connection, event: AnyRow, posted: Posted, now: float) -> tuple[str, str | None]:
    """Record what came of a post; return its result, and why it disables the webhook, if it does."""
    result, values = _outcome(event, posted, now)
    seen = {"last_status_code": posted.status_code, "last_error": posted.error}
    if not webhook_deliveries.settle(tx, event.id, event.tries, values | seen):
        return "late", None
    if posted.error is None:
        webhooks.record_success(tx, event.webhook_id)
        return result, None
    webhooks.record_failure(tx, event.webhook_id, now)
    if posted.status_code == GONE:
        return result, "gone" if webhooks.disable(tx, event.webhook_id) else None
    is_dead = webhooks.disable(tx, event.webhook_id, failing_since=now - DISABLED_AFTER_SECONDS)
    return result, "failing" if is_dead else None


def _outcome(event: AnyRow, posted: Posted, now: float) -> tuple[str, dict[str, Any]]:
    """Return the result for logs and metrics, and the columns that settle the event."""
    if posted.error is None:
        return "delivered", webhook_deliveries.ended("delivered", now=now)
    if posted.status_code == GONE or posted.error == "client_revoked" or event.tries > len(RETRY_SECONDS):
        return "failed", webhook_deliveries.ended("failed", now=now)
    return "retried", {"status": "pending", "due_at": now + RETRY_SECONDS[event.tries - 1]}
