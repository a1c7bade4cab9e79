"""The table `notifications`: messages that carry no PIN, and the queue from which they are sent."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, counts_by_key
from otp_service.storage.queues.lease_queue import LeaseQueue
from otp_service.storage.tables import QUEUED, SENDING, clients, notifications, numbers, opt_outs
from otp_service.storage.webhook_events import EventSource

n = notifications.c
SHOWN = (n.id, n.status, n.reason, n.segments, n.template, n.reference, n.created_at, n.sent_at, n.route)
QUEUE = LeaseQueue(notifications, n.due_at, n.tries, waiting=n.status == QUEUED, claimed=n.status == SENDING)
EVENTS = EventSource("notification", n.id, SHOWN)
STOP_CONFIRMATION = "stop_confirmation"
"""The `template` of the reply to a STOP, which belongs to no client and is sent to a number that opted out."""
_IS_CONFIRMATION = n.client_id.is_(None) & (sa.func.coalesce(n.template, "") == STOP_CONFIRMATION)


def insert(tx: Connection, row: Mapping[str, Any]) -> None:
    """Add a message to the queue."""
    tx.execute(sa.insert(notifications).values(**row))


def read(tx: Connection, client_id: str, notification_id: str) -> AnyRow | None:
    """Return a client's own notification: `SHOWN` and the `sealed` number."""
    joined = sa.select(*SHOWN, numbers.c.sealed).join(numbers, numbers.c.id == n.number_id, isouter=True)
    return tx.execute(joined.where(n.id == notification_id, n.client_id == client_id)).first()


def of_request(tx: Connection, request_id: int) -> str | None:
    """Return the id of the notification that a request queued, if it did."""
    return tx.scalar(sa.select(n.id).where(n.request_id == request_id).limit(1))


def is_due(tx: Connection, now: float) -> bool:
    """Return whether a message is due."""
    return QUEUE.is_due(tx, now)


def claim(tx: Connection, now: float, *, lease_until: float, limit: int) -> Sequence[AnyRow]:
    """Claim messages that are due; each place goes to the client that has the fewest in progress.

    With the `sealed` number, and whether the number has `opted_out` or the client was revoked since.
    """
    waiting = _waiting_clients(tx, now)
    ids = QUEUE.claim_in_turns(
        tx, n.client_id, waiting, now=now, lease_until=lease_until, limit=limit, status="sending"
    )
    return tx.execute(_claimed().where(n.id.in_(ids))).all() if ids else []


def _waiting_clients(tx: Connection, now: float) -> list[str | None]:
    """Return the clients that have a message due, the longest waiting first; None for our own replies."""
    # By client, since all messages may be one client's: the first of each is one look into the index.
    due_at = sa.select(n.due_at).where(n.status == QUEUED).order_by(n.due_at).limit(1)
    of_client = due_at.where(n.client_id == clients.c.id).scalar_subquery()
    own = due_at.where(n.client_id.is_(None)).scalar_subquery()
    firsts = sa.union_all(sa.select(clients.c.id, of_client.label("due_at")), sa.select(sa.null(), own)).subquery()
    statement = sa.select(firsts.c.id).where(firsts.c.due_at <= now).order_by(firsts.c.due_at)
    return list(tx.execute(statement).scalars())


def _claimed() -> sa.Select[Any]:
    columns = (n.id, n.number_masked, n.route, n.carrier, n.text_sealed, n.created_at, n.tries)
    opted_out = (sa.func.coalesce(opt_outs.c.opted_out, sa.false()) & ~_IS_CONFIRMATION).label("opted_out")
    revoked = clients.c.revoked_at.is_not(None).label("client_revoked")
    return (
        sa.select(*columns, n.due_at.label("lease_until"), numbers.c.sealed, opted_out, revoked)
        .join(numbers, numbers.c.id == n.number_id, isouter=True)
        .join(opt_outs, opt_outs.c.number_id == n.number_id, isouter=True)
        .join(clients, clients.c.id == n.client_id, isouter=True)
    )


def settle(tx: Connection, notification_id: str, tries: int, values: Mapping[str, Any]) -> bool:
    """End a claim; False if its lease ended first. `tries`: as claimed."""
    settled = QUEUE.settle(tx, notification_id, tries, values)
    if settled and values["status"] in ("sent", "failed"):
        EVENTS.record(tx, [notification_id], now=values["ended_at"])
    return settled


def ended(status: str, *, reason: str | None, now: float) -> dict[str, Any]:
    """Return the columns of a row that leaves the queue; it keeps no text."""
    return {"text_sealed": None, "due_at": None, "status": status, "reason": reason, "ended_at": now}


def fail_queued(tx: Connection, number_id: int, *, reason: str, now: float) -> int:
    """Fail every message that waits for a number; return how many."""
    waiting = n.number_id == number_id, n.status == QUEUED, ~_IS_CONFIRMATION
    statement = sa.update(notifications).where(*waiting).values(ended("failed", reason=reason, now=now))
    failed = tx.execute(statement.returning(n.id)).scalars().all()
    EVENTS.record(tx, failed, now=now)
    return len(failed)


def abandon(tx: Connection, now: float, limit: int) -> int:
    """End claims whose lease has ended: nobody knows what was sent, and nothing is sent again."""
    return QUEUE.abandon(tx, now, limit, ended("unknown", reason="abandoned", now=now))


def count_by_key(tx: Connection) -> dict[str, int]:
    """Count by key id the waiting texts and the stored message ids."""
    return counts_by_key(tx, n.text_sealed, n.message_sealed, n.message_digest)


def under_other_keys(tx: Connection, key_id: str, after: str, limit: int) -> list[tuple[str, str]]:
    """Return (id, text_sealed) of texts that another key sealed, by id."""
    others = ~n.text_sealed.startswith(f"{key_id}:", autoescape=True)
    statement = sa.select(n.id, n.text_sealed).where(n.id > after, n.text_sealed.is_not(None), others)
    return [(row.id, row.text_sealed) for row in tx.execute(statement.order_by(n.id).limit(limit))]


def rewrite(tx: Connection, notification_id: str, was: str, sealed: str) -> bool:
    """Move a text to another key; False if it has left the queue since it was read."""
    statement = sa.update(notifications).where(n.id == notification_id, n.text_sealed == was)
    return tx.execute(statement.values(text_sealed=sealed)).rowcount == 1


def move_number(tx: Connection, *, keep: int, drop: int) -> None:
    """Give the notifications of one row of a number to another row of it."""
    tx.execute(sa.update(notifications).where(notifications.c.number_id == drop).values(number_id=keep))
