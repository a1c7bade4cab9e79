"""Receipts: the columns of `sends` and `notifications` that find a message, rank what is known of it and poll it."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.queues.lease_queue import LeaseQueue
from otp_service.storage.queues.notifications import EVENTS
from otp_service.storage.tables import notifications, numbers, sends, verifications
from otp_service.storage.verifications.verifications import DELIVERY_EVENTS

s, n, v = sends.c, notifications.c, verifications.c

SENDS = LeaseQueue(sends, s.poll_at, s.polls, waiting=s.poll_at.is_not(None))
NOTIFICATIONS = LeaseQueue(notifications, n.poll_at, n.polls, waiting=n.poll_at.is_not(None))
_OVER: dict[str, Any] = {"poll_at": None, "message_sealed": None}
"""Ends the polling; the digest stays, so that a later receipt still finds its message."""
_standing = sa.func.coalesce(s.receipt, sa.case((s.outcome == "accepted", "sent"), else_="unknown"))
"""What is known of a send."""


def find(tx: Connection, digests: Sequence[str]) -> AnyRow | None:
    """Return the message with one of these digests: `id`, `standing`, `route`, and the `verification_id` of a send."""
    send = sa.select(s.id, s.verification_id, s.route, s.finished_at, _standing.label("standing"))
    send = send.where(s.message_digest.in_(digests))
    found = tx.execute(send.order_by(s.id.desc()).limit(1)).first()
    if found is not None:
        return found
    notified = sa.select(n.id, sa.null().label("verification_id"), n.route, n.status.label("standing"))
    return tx.execute(notified.where(n.message_digest.in_(digests)).limit(1)).first()


def without_id(tx: Connection, number_digests: Sequence[str], since: float) -> Sequence[AnyRow]:
    """Return the sends to a number since then that may have been sent and have no message id.

    `outcome` is None while a send is in progress.
    """
    joined = (
        sa.select(s.id, s.verification_id, s.route, s.outcome, s.finished_at, v.purpose, v.pin_length)
        .join(verifications, v.id == s.verification_id)
        .join(numbers, numbers.c.id == v.number_id)
    )
    may_be_out = s.outcome.is_distinct_from("refused") & ~v.decoy & (s.route != "test")
    found = joined.where(numbers.c.digest.in_(number_digests), s.started_at > since, may_be_out)
    return tx.execute(found.where(s.message_digest.is_(None))).all()


def lock_verification(tx: Connection, verification_id: str) -> None:
    """Lock the row of a verification until the commit: its sends come after it in the order of locks."""
    tx.execute(sa.select(v.id).where(v.id == verification_id).with_for_update())


def identify(tx: Connection, send_id: int, columns: Mapping[str, str | None]) -> bool:
    """Store the message id of a send; False if it has one already."""
    statement = sa.update(sends).where(s.id == send_id, s.message_digest.is_(None))
    return tx.execute(statement.values(**columns)).rowcount == 1


def raise_send(tx: Connection, send_id: int, status: str, *, over: Sequence[str], final: bool) -> bool:
    """Record what became of a send if its present state is one of `over`. `final`: polling ends."""
    statement = sa.update(sends).where(s.id == send_id, _standing.in_(over))
    return tx.execute(statement.values(receipt=status, **(_OVER if final else {}))).rowcount == 1


def raise_notification(
    tx: Connection, notification_id: str, status: str, *, over: Sequence[str], final: bool, now: float
) -> None:
    """Record what became of a notification. Its reason is dropped: it was about our call."""
    statement = sa.update(notifications).where(n.id == notification_id, n.status.in_(over))
    if tx.execute(statement.values(status=status, reason=None, **(_OVER if final else {}))).rowcount:
        EVENTS.record(tx, [notification_id], now=now)


def show(tx: Connection, verification_id: str, send_id: int, status: str, *, now: float) -> None:
    """Show on the verification what became of a send, unless a newer send is known to have gone out.

    A send in progress hides nothing: until its outcome is known, the message before it is shown.
    """
    newer = sa.exists().where(
        s.verification_id == verification_id, s.id > send_id, s.outcome.in_(("accepted", "unknown"))
    )
    statement = sa.update(verifications).where(v.id == verification_id, ~newer)
    if tx.execute(statement.values(delivery_status=status)).rowcount and status in ("delivered", "undelivered"):
        DELIVERY_EVENTS.record(tx, [verification_id], now=now)


def is_due(tx: Connection, now: float) -> bool:
    """Return whether it is time to ask for a receipt."""
    return SENDS.is_due(tx, now) or NOTIFICATIONS.is_due(tx, now)


def claim(tx: Connection, now: float, *, poll_after: Sequence[int], limit: int) -> Sequence[AnyRow]:
    """Claim messages whose receipt is due, send first; each is due again after the next of `poll_after`, or never.

    Both have `message_sealed`; a send also has what finds it in a report: the `sealed` number and so on.
    """
    claimed = _claim_sends(tx, now, poll_after, limit)
    return [*claimed, *_claim_notifications(tx, now, poll_after, limit - len(claimed))]


def _claim_sends(tx: Connection, now: float, poll_after: Sequence[int], limit: int) -> Sequence[AnyRow]:
    next_poll = _next_poll(s.finished_at, s.polls, poll_after)
    ids = SENDS.claim(tx, now=now, lease_until=next_poll, limit=limit)
    of_send = (s.id, s.verification_id, s.route, s.started_at, s.message_sealed)
    columns = (*of_send, v.purpose, v.pin_length, v.decoy, numbers.c.sealed)
    joined = sa.select(*columns).select_from(sends).join(verifications, v.id == s.verification_id)
    return tx.execute(joined.outerjoin(numbers, numbers.c.id == v.number_id).where(s.id.in_(ids))).all() if ids else []


def _claim_notifications(tx: Connection, now: float, poll_after: Sequence[int], limit: int) -> Sequence[AnyRow]:
    next_poll = _next_poll(n.ended_at, n.polls, poll_after)
    ids = NOTIFICATIONS.claim(tx, now=now, lease_until=next_poll, limit=limit) if limit else []
    columns = (n.message_sealed, sa.false().label("decoy"), sa.null().label("sealed"))
    return tx.execute(sa.select(*columns).where(n.id.in_(ids))).all() if ids else []


def _next_poll(ended_at: sa.Column[Any], polls: sa.Column[Any], poll_after: Sequence[int]) -> sa.ColumnElement[Any]:
    """Return when to ask again after this time; null if `poll_after` has no further one."""
    later = {asked: ended_at + after for asked, after in enumerate(poll_after) if asked > 0}
    return sa.case(later, value=polls + 1) if later else sa.null()
