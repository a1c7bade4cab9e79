"""The table `notifications`: messages that are no PIN, queued here and sent from here."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, counts_by_key
from otp_service.storage.tables import QUEUED, SENDING, notifications, numbers, opt_outs

n = notifications.c
SHOWN = (n.id, n.status, n.reason, n.segments, n.template, n.reference, n.created_at, n.sent_at, n.route)
_LEFT = {"text_sealed": None, "due_at": None}
"""What leaves the queue keeps no text."""


def insert(tx: Connection, row: Mapping[str, Any]) -> None:
    """A new row of the queue."""
    tx.execute(sa.insert(notifications).values(**row))


def read(tx: Connection, client_id: str, notification_id: str) -> AnyRow | None:
    """A client's own notification: `SHOWN` and `sealed`, the number's."""
    joined = sa.select(*SHOWN, numbers.c.sealed).join(numbers, numbers.c.id == n.number_id, isouter=True)
    return tx.execute(joined.where(n.id == notification_id, n.client_id == client_id)).first()


def of_request(tx: Connection, request_id: int) -> str | None:
    """The notification that a request queued, if it came so far."""
    return tx.scalar(sa.select(n.id).where(n.request_id == request_id).limit(1))


def is_due(tx: Connection, now: float) -> bool:
    """Whether something waits to be sent."""
    first = tx.scalar(sa.select(n.due_at).where(n.status == QUEUED).order_by(n.due_at).limit(1))
    return first is not None and bool(first <= now)


def claim(tx: Connection, *, now: float, lease_until: float, limit: int) -> Sequence[AnyRow]:
    """Takes what is due out of the queue, the longest waiting first: each row for one process alone.

    With the `sealed` number, and whether it has `opted_out` since.
    """
    waiting = sa.select(n.id).where(n.status == QUEUED, n.due_at <= now).order_by(n.due_at).limit(limit)
    due = waiting.with_for_update(skip_locked=True).cte("due")  # a subquery could be run again, and take more
    taken = sa.update(notifications).where(n.id.in_(sa.select(due.c.id)), n.status == QUEUED)
    taken = taken.values(status="sending", due_at=lease_until, tries=n.tries + 1)
    ids = list(tx.execute(taken.returning(n.id)).scalars())
    if not ids:
        return []
    return tx.execute(_claimed().where(n.id.in_(ids))).all()


def _claimed() -> sa.Select[Any]:
    columns = (n.id, n.number_masked, n.carrier, n.text_sealed, n.created_at, n.tries, n.due_at.label("lease_until"))
    opted_out = sa.func.coalesce(opt_outs.c.opted_out, sa.false()).label("opted_out")
    joined = sa.select(*columns, numbers.c.sealed, opted_out).join(numbers, numbers.c.id == n.number_id, isouter=True)
    return joined.join(opt_outs, opt_outs.c.number_id == n.number_id, isouter=True)


def settle(tx: Connection, notification_id: str, tries: int, values: Mapping[str, Any]) -> bool:
    """How a claim ended; False where its lease was over first. `tries`: as the claim had it."""
    mine = n.id == notification_id, n.status == SENDING, n.tries == tries
    return tx.execute(sa.update(notifications).where(*mine).values(**values)).rowcount == 1


def left(status: str, *, reason: str | None, now: float) -> dict[str, Any]:
    """The columns of a row that leaves the queue."""
    return {**_LEFT, "status": status, "reason": reason, "ended_at": now}


def fail_queued(tx: Connection, number_id: int, *, reason: str, now: float) -> int:
    """Everything that waits for a number fails; how many."""
    waiting = n.number_id == number_id, n.status == QUEUED
    return tx.execute(sa.update(notifications).where(*waiting).values(left("failed", reason=reason, now=now))).rowcount


def abandon(tx: Connection, now: float, limit: int) -> int:
    """Claims whose lease is over: their process died, nobody knows what went out, and nothing is sent again."""
    over = sa.select(n.id).where(n.status == SENDING, n.due_at <= now)
    over = over.order_by(n.due_at).limit(limit).with_for_update(skip_locked=True)
    statement = sa.update(notifications).where(n.id.in_(over), n.status == SENDING)
    return tx.execute(statement.values(left("unknown", reason="abandoned", now=now))).rowcount


def count_by_key(tx: Connection) -> dict[str, int]:
    """How many texts wait, or ids of messages are kept, under each key id."""
    return counts_by_key(tx, n.text_sealed, n.message_sealed, n.message_digest)


def written_by_others(tx: Connection, key_id: str, after: str, limit: int) -> list[tuple[str, str]]:
    """(id, text_sealed) of texts that another key sealed, by id."""
    others = ~n.text_sealed.startswith(f"{key_id}:", autoescape=True)
    statement = sa.select(n.id, n.text_sealed).where(n.id > after, n.text_sealed.is_not(None), others)
    return [(row.id, row.text_sealed) for row in tx.execute(statement.order_by(n.id).limit(limit))]


def rewrite(tx: Connection, notification_id: str, was: str, sealed: str) -> bool:
    """Moves a text to another key; False where it has left the queue since it was read."""
    statement = sa.update(notifications).where(n.id == notification_id, n.text_sealed == was)
    return tx.execute(statement.values(text_sealed=sealed)).rowcount == 1


def move_number(tx: Connection, *, keep: int, drop: int) -> None:
    """Give the notifications of one row of a number to another row of it."""
    tx.execute(sa.update(notifications).where(notifications.c.number_id == drop).values(number_id=keep))
