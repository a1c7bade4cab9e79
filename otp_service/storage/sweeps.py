"""What time alone does to the tables: in small batches that skip what is in use, so that they never block."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.tables import (
    buckets,
    events,
    failures,
    fires,
    notifications,
    numbers,
    opt_outs,
    requests,
    sends,
    verifications,
)

BATCH = 500
ECHO_KEPT_SECONDS = 86400.0
"""What the campaign platform was told is known so long at the least, or its echo would be the person's word."""
HELD_SECONDS = 3600.0
"""When a number that is still needed is looked at again."""
_NO_MESSAGE = {"message_digest": None, "message_sealed": None, "poll_at": None}
v, s, n = verifications.c, sends.c, notifications.c


def expire(tx: Connection, now: float) -> int:
    """Pending verifications that are late become expired."""
    late = _batch(sa.select(v.id).where(v.status == "pending", v.expires_at <= now))
    statement = sa.update(verifications).where(v.id.in_(late), v.status == "pending")
    return tx.execute(statement.values(status="expired", ended_at=v.expires_at, phrase_sealed=None)).rowcount


def wipe_hashes(tx: Connection, ended_before: float) -> int:
    """PIN hashes of verifications that ended by then."""
    joined = sa.select(s.id).join(verifications, v.id == s.verification_id)
    due = _batch(joined.where(s.pin_hash.is_not(None), v.ended_at <= ended_before), of=sends)
    return tx.execute(sa.update(sends).where(s.id.in_(due)).values(pin_hash=None, pepper_key=None)).rowcount


def forget_numbers(tx: Connection, ended_before: float) -> int:
    """Verifications that ended by then no longer tell their number, nor its slot, nor the vendor's ids."""
    due = _batch(sa.select(v.id).where(v.number_id.is_not(None), v.ended_at <= ended_before))
    ids = list(tx.execute(due).scalars())
    if not ids:
        return 0
    tx.execute(sa.update(sends).where(s.verification_id.in_(ids)).values(_NO_MESSAGE))
    statement = sa.update(verifications).where(v.id.in_(ids))
    wiped = {"number_id": None, "slot": "", "address_digest": None, "phrase_sealed": None}
    return tx.execute(statement.values(wiped)).rowcount


def forget_notified(tx: Connection, ended_before: float) -> int:
    """The same of notifications that left the queue by then."""
    due = _batch(sa.select(n.id).where(n.number_id.is_not(None), n.ended_at <= ended_before))
    return tx.execute(sa.update(notifications).where(n.id.in_(due)).values(number_id=None, **_NO_MESSAGE)).rowcount


def wipe_numbers(tx: Connection, now: float, seen_before: float) -> int:
    """Numbers that nothing was sent to since then keep their digest, for the counters, and lose the number.

    Not those that a message waits for, that opted out or whose opt-out is still to be told: they wait a while.
    """
    c, o, f = numbers.c, opt_outs.c, fires.c
    due = _batch(sa.select(c.id).where(c.sealed.is_not(None), c.seen_until <= seen_before))
    needed = (
        sa.exists().where(n.number_id == c.id, n.ended_at.is_(None))
        | sa.exists().where(o.number_id == c.id, o.opted_out)
        | sa.exists().where(f.number_id == c.id, f.outcome.is_(None))
    )
    statement = sa.update(numbers).where(c.id.in_(due))
    kept = {
        "sealed": sa.case((needed, c.sealed)),
        "seen_until": sa.case((needed, now + HELD_SECONDS), else_=c.seen_until),
    }
    return tx.execute(statement.values(kept)).rowcount


def purge_counters(tx: Connection, now: float, used_before: float) -> int:
    """Limits that are full again, failures that were last counted before then, opt-outs told by then, and numbers that
    nothing refers to, with their opt-out that was lifted."""
    return (
        _purge_buckets(tx, now)
        + _purge_failures(tx, now, used_before)
        + _purge_fires(tx, min(used_before, now - ECHO_KEPT_SECONDS))
        + _purge_unused_numbers(tx, used_before)
    )


def _purge_buckets(tx: Connection, now: float) -> int:
    full = _batch(sa.select(buckets.c.key).where(buckets.c.arrival <= now))
    return tx.execute(sa.delete(buckets).where(buckets.c.key.in_(full))).rowcount


def _purge_failures(tx: Connection, now: float, used_before: float) -> int:
    f = failures.c
    old = f.last_at <= used_before, f.waits_until <= now
    of_number = _batch(sa.select(f.number_id).where(*old))
    return tx.execute(sa.delete(failures).where(f.number_id.in_(of_number), *old)).rowcount


def _purge_fires(tx: Connection, created_before: float) -> int:
    f = fires.c
    old = _batch(sa.select(f.id).where(f.created_at <= created_before, f.outcome.is_not(None)))
    return tx.execute(sa.delete(fires).where(f.id.in_(old))).rowcount


def _purge_unused_numbers(tx: Connection, used_before: float) -> int:
    c = numbers.c
    referring = [table.c.number_id for table in (failures, verifications, notifications, fires)]
    referred = sa.or_(*(sa.exists().where(column == c.id) for column in referring))
    out = sa.exists().where(opt_outs.c.number_id == c.id, opt_outs.c.opted_out)
    unused = sa.select(c.id).where(c.sealed.is_(None), c.seen_until <= used_before, ~referred, ~out)
    ids = list(tx.execute(_batch(unused)).scalars())
    if not ids:
        return 0
    tx.execute(sa.delete(opt_outs).where(opt_outs.c.number_id.in_(ids)))
    return tx.execute(sa.delete(numbers).where(c.id.in_(ids))).rowcount


def purge_requests(tx: Connection, claimed_before: float) -> int:
    """Idempotency keys claimed by then."""
    old = _batch(sa.select(requests.c.id).where(requests.c.claimed_at <= claimed_before))
    return tx.execute(sa.delete(requests).where(requests.c.id.in_(old))).rowcount


def purge_audit(tx: Connection, ended_before: float) -> int:
    """Verifications that ended by then, with their story."""
    ids = list(tx.execute(_batch(sa.select(v.id).where(v.ended_at <= ended_before))).scalars())
    if not ids:
        return 0
    tx.execute(sa.delete(events).where(events.c.verification_id.in_(ids)))
    tx.execute(sa.delete(sends).where(s.verification_id.in_(ids)))
    return tx.execute(sa.delete(verifications).where(v.id.in_(ids))).rowcount


def purge_notifications(tx: Connection, ended_before: float) -> int:
    """Notifications that left the queue by then."""
    old = _batch(sa.select(n.id).where(n.ended_at <= ended_before))
    return tx.execute(sa.delete(notifications).where(n.id.in_(old))).rowcount


def _batch(rows: sa.Select[Any], of: sa.Table | None = None) -> sa.Select[Any]:
    return rows.limit(BATCH).with_for_update(skip_locked=True, of=of)
