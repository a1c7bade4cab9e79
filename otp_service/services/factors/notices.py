"""Notices to the phones of a subject that its factors have changed: whoever did it, the user learns of it."""

from collections.abc import Iterable
from typing import Literal

from sqlalchemy.engine import Connection

from otp_service import texts
from otp_service.config.policy.shipped_texts import FACTOR_ADDED, FACTOR_REMOVED
from otp_service.database.statements import AnyRow
from otp_service.services.context import Context
from otp_service.services.notifications.notifications import queue_reply
from otp_service.storage import numbers, opt_outs

_TEXTS = {"added": FACTOR_ADDED, "removed": FACTOR_REMOVED}


def queue(
    tx: Connection, ctx: Context, change: Literal["added", "removed"], phones: Iterable[AnyRow], now: float
) -> None:
    """Queue a notice for every active phone among the rows, in the caller's transaction.

    `phones`: rows with `factors.COLUMNS`. The caller has locked the subject and nothing else, and wakes the outbox
    after the commit.
    """
    if not ctx.policy.factors.notify:
        return
    text = _text(ctx, change)
    by_number = {row.number_id: row for row in phones if row.type == "sms" and row.status == "active"}
    for number_id in sorted(by_number):  # in one order, so that no two transactions wait for each other
        _queue_one(tx, ctx, by_number[number_id], text, now)


def _queue_one(tx: Connection, ctx: Context, phone: AnyRow, text: str, now: float) -> None:
    to = numbers.open_number(ctx.vault, phone.sealed)
    if to is None:
        return
    number_id = numbers.upsert(tx, ctx.vault, to, seen_until=now + ctx.policy.notifications.keep_trying)
    if not opt_outs.is_out(tx, number_id):
        queue_reply(tx, ctx, number_id=number_id, e164=to, text=text, now=now)


def _text(ctx: Context, change: str) -> str:
    by_locale = _TEXTS[change]
    template = texts.find(by_locale, ctx.policy.notifications.default_locale) or by_locale["en"]
    return texts.fill_in(template, {"brand": ctx.policy.factors.brand})
