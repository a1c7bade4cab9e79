"""Receipts of sends: the columns of `sends` that find a message, rank what is known of it and poll it."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.queues.lease_queue import LeaseQueue
from otp_service.storage.tables import numbers, sends, verifications
from otp_service.storage.verifications.verifications import DELIVERY_EVENTS

s, v = sends.c, verifications.c

QUEUE = LeaseQueue(sends, s.poll_at, s.polls, waiting=s.poll_at.is_not(None))
_OVER: dict[str, Any] = {"poll_at": None, "message_sealed": None}
"""Ends the polling; the digest stays, so that a later receipt still finds its message."""
_standing = sa.func.coalesce(s.receipt, sa.case((s.outcome == "accepted", "sent"), else_="unknown"))
"""What is known of a send."""


def find(tx: Connection, digests: Sequence[str]) -> AnyRow | None:
    """Return the send whose message id has one of these digests, with its `standing`."""
    statement = sa.select(s.id, s.verification_id, s.route, s.finished_at, _standing.label("standing"))
    return tx.execute(statement.where(s.message_digest.in_(digests)).order_by(s.id.desc()).limit(1)).first()


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


def update_status(tx: Connection, send_id: int, status: str, *, over: Sequence[str], final: bool) -> bool:
    """Record what became of a send if what is known of it is one of `over`. `final`: polling ends."""
    statement = sa.update(sends).where(s.id == send_id, _standing.in_(over))
    return tx.execute(statement.values(receipt=status, **(_OVER if final else {}))).rowcount == 1


def update_delivery_status(tx: Connection, verification_id: str, send_id: int, status: str, *, now: float) -> None:
    """Show on the verification what became of a send, unless a newer send is known to have gone out.

    A send in progress hides nothing: until its outcome is known, the message before it is shown.
    """
    newer = sa.exists().where(
        s.verification_id == verification_id, s.id > send_id, s.outcome.in_(("accepted", "unknown"))
    )
    statement = sa.update(verifications).where(v.id == verification_id, ~newer)
    if tx.execute(statement.values(delivery_status=status)).rowcount and status in ("delivered", "undelivered"):
        DELIVERY_EVENTS.record(tx, [verification_id], now=now)


def claim(tx: Connection, now: float, *, poll_after: Sequence[int], limit: int) -> Sequence[AnyRow]:
    """Claim sends whose receipt is due; each is due again after the next of `poll_after`, or never.

    With `message_sealed`, and what finds the message in a report: the `sealed` number and so on.
    """
    next_poll = QUEUE.due_again(s.finished_at, poll_after)
    ids = QUEUE.claim(tx, now=now, lease_until=next_poll, limit=limit)
    of_send = (s.id, s.verification_id, s.route, s.started_at, s.message_sealed)
    columns = (*of_send, v.purpose, v.pin_length, v.decoy, numbers.c.sealed)
    joined = sa.select(*columns).select_from(sends).join(verifications, v.id == s.verification_id)
    return tx.execute(joined.outerjoin(numbers, numbers.c.id == v.number_id).where(s.id.in_(ids))).all() if ids else []
