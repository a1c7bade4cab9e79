"""Receipts of notifications: the columns of `notifications` that find a message and poll its receipt."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.queues.lease_queue import LeaseQueue
from otp_service.storage.queues.notifications import EVENTS
from otp_service.storage.tables import notifications

n = notifications.c

QUEUE = LeaseQueue(notifications, n.poll_at, n.polls, waiting=n.poll_at.is_not(None))
_OVER: dict[str, Any] = {"poll_at": None, "message_sealed": None}
"""Ends the polling; the digest stays, so that a later receipt still finds its message."""


def find(tx: Connection, digests: Sequence[str]) -> AnyRow | None:
    """Return the notification whose message id has one of these digests, as `receipts.find` returns a send."""
    statement = sa.select(n.id, sa.null().label("verification_id"), n.route, n.status.label("standing"))
    return tx.execute(statement.where(n.message_digest.in_(digests)).limit(1)).first()


def update_status(
    tx: Connection, notification_id: str, status: str, *, over: Sequence[str], final: bool, now: float
) -> None:
    """Record what became of a notification if its status is one of `over`. Its reason, of our call, is dropped."""
    statement = sa.update(notifications).where(n.id == notification_id, n.status.in_(over))
    if tx.execute(statement.values(status=status, reason=None, **(_OVER if final else {}))).rowcount:
        EVENTS.record(tx, [notification_id], now=now)


def claim(tx: Connection, now: float, *, poll_after: Sequence[int], limit: int) -> Sequence[AnyRow]:
    """Claim notifications whose receipt is due; each is due again after the next of `poll_after`, or never."""
    next_poll = QUEUE.due_again(n.ended_at, poll_after)
    ids = QUEUE.claim(tx, now=now, lease_until=next_poll, limit=limit) if limit else []
    columns = (n.message_sealed, sa.false().label("decoy"), sa.null().label("sealed"))
    return tx.execute(sa.select(*columns).where(n.id.in_(ids))).all() if ids else []
