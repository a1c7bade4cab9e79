"""Receipts, over the columns of `sends` and `notifications` that find a message and rank what is known of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.tables import notifications, numbers, sends, verifications

s, n, v = sends.c, notifications.c, verifications.c

_OVER: dict[str, Any] = {"poll_at": None, "message_sealed": None}
"""Nobody will ask again: only the digest stays, so that what comes later still finds its message."""
_standing = sa.func.coalesce(s.receipt, sa.case((s.outcome == "accepted", "sent"), else_="unknown"))
"""What is known of a send."""


def find(tx: Connection, digests: Sequence[str]) -> AnyRow | None:
    """The message with one of these digests: `id`, `standing`, `route`, and of a send its `verification_id`."""
    send = sa.select(s.id, s.verification_id, s.route, _standing.label("standing")).where(s.message_digest.in_(digests))
    found = tx.execute(send.order_by(s.id.desc()).limit(1)).first()
    if found is not None:
        return found
    notified = sa.select(n.id, sa.null().label("verification_id"), n.route, n.status.label("standing"))
    return tx.execute(notified.where(n.message_digest.in_(digests)).limit(1)).first()


def without_id(tx: Connection, number_digests: Sequence[str], since: float) -> Sequence[AnyRow]:
    """The sends to a number since then that may have gone out and whose id nobody knows; `outcome`: None in flight."""
    joined = (
        sa.select(s.id, s.verification_id, s.route, s.outcome, v.purpose, v.pin_length)
        .join(verifications, v.id == s.verification_id)
        .join(numbers, numbers.c.id == v.number_id)
    )
    not_refused = s.outcome.is_distinct_from("refused")
    found = joined.where(numbers.c.digest.in_(number_digests), s.started_at > since, not_refused)
    return tx.execute(found.where(s.message_digest.is_(None))).all()


def hold(tx: Connection, verification_id: str) -> None:
    """Holds the row of a verification until the commit: sends come after it in the order of locks."""
    tx.execute(sa.select(v.id).where(v.id == verification_id).with_for_update())


def identify(tx: Connection, send_id: int, columns: Mapping[str, str | None]) -> bool:
    """Gives a send the id of its message; False where it has one since."""
    statement = sa.update(sends).where(s.id == send_id, s.message_digest.is_(None))
    return tx.execute(statement.values(**columns)).rowcount == 1


def raise_send(tx: Connection, send_id: int, status: str, *, over: Sequence[str], final: bool) -> bool:
    """Notes what became of a send where what is known of it is one of `over`; `final`: there is nothing to ask for."""
    statement = sa.update(sends).where(s.id == send_id, _standing.in_(over))
    return tx.execute(statement.values(receipt=status, **(_OVER if final else {}))).rowcount == 1


def raise_notification(tx: Connection, notification_id: str, status: str, *, over: Sequence[str], final: bool) -> bool:
    """The same of a notification. The reason was that of our call, which tells no more."""
    statement = sa.update(notifications).where(n.id == notification_id, n.status.in_(over))
    return tx.execute(statement.values(status=status, reason=None, **(_OVER if final else {}))).rowcount == 1


def show(tx: Connection, verification_id: str, send_id: int, status: str) -> None:
    """The verification shows what became of a send, unless a newer one tells more.

    One in flight tells nothing yet: until its outcome is known, the message before it is shown.
    """
    newer = sa.exists().where(
        s.verification_id == verification_id, s.id > send_id, s.outcome.in_(("accepted", "unknown"))
    )
    statement = sa.update(verifications).where(v.id == verification_id, ~newer)
    tx.execute(statement.values(delivery_status=status))


def is_due(tx: Connection, now: float) -> bool:
    """Whether it is time to ask for a receipt."""
    # The first of the index: PostgreSQL takes EXISTS over a range for cheap, and reads the whole table.
    first = (
        sa.select(at).where(at.is_not(None)).order_by(at).limit(1).scalar_subquery() for at in (s.poll_at, n.poll_at)
    )
    return any(at is not None and at <= now for at in tx.execute(sa.select(*first)).one())


def claim_sends(tx: Connection, now: float, *, poll_after: Sequence[int], limit: int) -> Sequence[AnyRow]:
    """Takes the sends whose receipt is due; each is due again after the next of `poll_after`, or never."""
    ids = _claim(tx, sends, s.finished_at, now, poll_after, limit)
    columns = (s.started_at, s.message_sealed, v.purpose, v.pin_length, numbers.c.sealed)
    joined = sa.select(*columns).select_from(sends).join(verifications, v.id == s.verification_id)
    return tx.execute(joined.outerjoin(numbers, numbers.c.id == v.number_id).where(s.id.in_(ids))).all() if ids else []


def claim_notifications(tx: Connection, now: float, *, poll_after: Sequence[int], limit: int) -> Sequence[AnyRow]:
    """The same of notifications, which are asked for by their id alone."""
    ids = _claim(tx, notifications, n.ended_at, now, poll_after, limit)
    columns = (n.message_sealed, sa.null().label("sealed"))
    return tx.execute(sa.select(*columns).where(n.id.in_(ids))).all() if ids else []


def _claim(
    tx: Connection, table: sa.Table, left_at: sa.Column[float], now: float, poll_after: Sequence[int], limit: int
) -> Sequence[Any]:
    c = table.c
    waiting = sa.select(c.id).where(c.poll_at <= now).order_by(c.poll_at).limit(limit)
    due = waiting.with_for_update(skip_locked=True).cte("due")  # a subquery could be run again, and take more
    later = {asked: left_at + after for asked, after in enumerate(poll_after) if asked > 0}
    next_at = sa.case(later, value=c.polls + 1) if later else sa.null()
    statement = sa.update(table).where(c.id.in_(sa.select(due.c.id)), c.poll_at <= now)
    return tx.execute(statement.values(poll_at=next_at, polls=c.polls + 1).returning(c.id)).scalars().all()
