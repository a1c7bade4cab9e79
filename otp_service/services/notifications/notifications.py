"""Validates notifications and queues them; the outbox sends them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from otp_service import phone, texts
from otp_service.config.policy.test_numbers import TestNumber
from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, Refusal, invalid_fields, require
from otp_service.observability.metrics import NOTIFICATIONS
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.delivery import test_numbers
from otp_service.services.limits import limits
from otp_service.services.opt_outs.opt_outs import opted_out
from otp_service.storage import numbers, opt_outs
from otp_service.storage.queues import notifications
from otp_service.vault import SealedFor

MOST_SEGMENTS = 10
_SHOWN_STATUS = {"sending": "queued"}
"""A client cannot tell a message in progress from one that waits."""


@dataclass(frozen=True)
class NotificationRequest:
    """A client's request: either `text`, or `template` with its `values`. `to`: as the client wrote it."""

    client_id: str
    to: str = field(repr=False)
    text: str | None = field(default=None, repr=False)
    template: str | None = None
    values: Mapping[str, str] | None = field(default=None, repr=False)
    locale: str | None = None
    carrier: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class Notification:
    """A notification as clients see it (docs/api.md). Times are seconds since the epoch."""

    id: str
    status: str
    reason: str | None
    to: str | None = field(repr=False)
    segments: int
    template: str | None
    reference: str | None
    created_at: float
    sent_at: float | None
    route: str | None


async def create(
    ctx: Context, request: NotificationRequest, idempotent: IdempotentRequest | None = None
) -> Notification:
    """Queue a message. Refusals: `invalid`, `invalid_number`, `country_not_allowed`, `opted_out`, `rate_limited`."""
    text = _text(ctx, request)
    test_number = test_numbers.find(ctx, request.to)
    e164 = request.to if test_number is not None else phone.parse_served(request.to, ctx.countries).e164
    row = _new_row(ctx, e164, text, test_number, request.carrier) | {
        "client_id": request.client_id,
        "request_id": idempotent.id if idempotent else None,
        "template": request.template,
        "reference": request.reference,
    }

    def step(tx: Connection) -> float:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        number_id = _remembered(tx, ctx, e164, now)
        units = limits.of_notification(ctx, client_id=request.client_id, number_id=number_id)
        limits.reserve(tx, units, now)
        _insert(tx, row, number_id, now)
        return now

    async with ctx.concurrency.turn(request.client_id, e164):
        created_at = await ctx.database.write(step)
    NOTIFICATIONS.labels("queued").inc()
    ctx.wakes.outbox.set()
    return _queued(row, e164, created_at)


def queue_reply(
    tx: Connection, ctx: Context, *, number_id: int, e164: str, text: str, now: float, confirms_stop: bool = False
) -> None:
    """Queue an automatic reply to what a person texted, which no client sees, in the caller's transaction.

    The caller has locked the number's row and wakes the outbox after the commit. `confirms_stop`: it is sent although
    the number has opted out.
    """
    template = notifications.STOP_CONFIRMATION if confirms_stop else None
    row = _new_row(ctx, e164, text, test_numbers.find(ctx, e164))
    _insert(tx, {**row, "template": template}, number_id, now)


async def read(ctx: Context, client_id: str, notification_id: str) -> Notification:
    """Return a notification as it is now. Refusal: `not_found`."""
    with ctx.concurrency.of_client(client_id):
        row = await ctx.database.read(lambda tx: notifications.read(tx, client_id, notification_id))
    return represent(ctx, require(row, "notification"))


def _remembered(tx: Connection, ctx: Context, e164: str, now: float) -> int:
    """Return the number's id, its row locked, so that an opt-out comes either before or after."""
    number_id = numbers.upsert(tx, ctx.vault, e164, seen_until=now + ctx.policy.notifications.keep_trying)
    if opt_outs.is_out(tx, number_id):
        raise opted_out()
    return number_id


def _new_row(
    ctx: Context, e164: str, text: str, test_number: TestNumber | None, carrier: str | None = None
) -> dict[str, Any]:
    return {
        "id": f"ntf_{secrets.token_urlsafe(16)}",
        "number_masked": phone.mask(e164),
        "status": "queued",
        "segments": texts.segments(text),
        "route": test_numbers.TEST_ROUTE if test_number is not None else None,
        "carrier": carrier or ctx.policy.carrier_for(e164) or ctx.default_carrier,
        "text_sealed": ctx.vault.seal(SealedFor.NOTIFICATION, text.encode()),
        "tries": 0,
    }


def _insert(tx: Connection, row: Mapping[str, Any], number_id: int, now: float) -> None:
    notifications.insert(tx, {**row, "number_id": number_id, "created_at": now, "due_at": now})


def _queued(row: Mapping[str, Any], e164: str, created_at: float) -> Notification:
    return Notification(
        id=row["id"],
        status=row["status"],
        reason=None,
        to=e164,
        segments=row["segments"],
        template=row["template"],
        reference=row["reference"],
        created_at=created_at,
        sent_at=None,
        route=row["route"],
    )


def represent(ctx: Context, row: AnyRow) -> Notification:
    """Return the notification of a row with `notifications.SHOWN` and the `sealed` number."""
    return Notification(
        id=row.id,
        status=_SHOWN_STATUS.get(row.status, row.status),
        reason=row.reason,
        to=numbers.open_number(ctx.vault, row.sealed),
        segments=row.segments,
        template=row.template,
        reference=row.reference,
        created_at=row.created_at,
        sent_at=row.sent_at,
        route=row.route,
    )


def _text(ctx: Context, request: NotificationRequest) -> str:
    """Return the text to send. Refusal: `invalid`, naming the field that is wrong."""
    if request.text is not None and request.template is not None:
        raise _invalid("template", "Pass either a text or a template, not both.")
    if request.text is None:
        return _checked("values", _filled_in(ctx, request))
    if request.values is not None:
        raise _invalid("values", "Must be absent without a template.")
    return _checked("text", request.text)


def _filled_in(ctx: Context, request: NotificationRequest) -> str:
    if request.template is None:
        raise _invalid("text", "Pass a text or a template.")
    templates, default_locale = ctx.policy.notifications.templates, ctx.policy.notifications.default_locale
    by_locale = templates.get(request.template)
    if by_locale is None:
        detail = f"Must be one of: {', '.join(templates)}." if templates else "The service has no templates."
        raise _invalid("template", detail)
    found = texts.find(by_locale, request.locale) if request.locale else None
    template = found or texts.find(by_locale, default_locale) or ""
    values = request.values or {}
    wanted = sorted(set(texts.fields(template)))
    if sorted(values) != wanted:
        raise _invalid("values", f"Must have exactly these keys: {', '.join(wanted)}." if wanted else "Must be empty.")
    return texts.fill_in(template, values)


def _checked(name: str, text: str) -> str:
    problem = texts.problem_with_message(text)
    if problem is not None:
        raise _invalid(name, f"The text {problem}.")
    segments = texts.segments(text)
    if segments > MOST_SEGMENTS:
        raise _invalid(name, f"The text takes {segments} SMS; at most {MOST_SEGMENTS} are sent.")
    return text


def _invalid(name: str, detail: str) -> Refusal:
    return invalid_fields(FieldError(name, detail))
