"""What time alone does to the tables: in small batches that skip what is in use, so that they never block."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.tables import buckets, events, failures, numbers, requests, sends, verifications

BATCH = 500
v, s = verifications.c, sends.c


def expire(tx: Connection, now: float) -> int:
    """Pending verifications that are late become expired."""
    late = _batch(sa.select(v.id).where(v.status == "pending", v.expires_at <= now))
    statement = sa.update(verifications).where(v.id.in_(late), v.status == "pending")
    return tx.execute(statement.values(status="expired", ended_at=v.expires_at)).rowcount


def wipe_hashes(tx: Connection, ended_before: float) -> int:
    """PIN hashes of verifications that ended by then."""
    joined = sa.select(s.id).join(verifications, v.id == s.verification_id)
    due = _batch(joined.where(s.pin_hash.is_not(None), v.ended_at <= ended_before), of=sends)
    return tx.execute(sa.update(sends).where(s.id.in_(due)).values(pin_hash=None, pepper_key=None)).rowcount


def forget_numbers(tx: Connection, ended_before: float) -> int:
    """Verifications that ended by then no longer tell their number, nor its slot."""
    due = _batch(sa.select(v.id).where(v.number_id.is_not(None), v.ended_at <= ended_before))
    statement = sa.update(verifications).where(v.id.in_(due))
    return tx.execute(statement.values(number_id=None, slot="", address_digest=None)).rowcount


def wipe_numbers(tx: Connection, seen_before: float) -> int:
    """Numbers that nothing was sent to since then keep their digest, for the counters, and lose the number."""
    n = numbers.c
    due = _batch(sa.select(n.id).where(n.sealed.is_not(None), n.seen_until <= seen_before))
    return tx.execute(sa.update(numbers).where(n.id.in_(due)).values(sealed=None)).rowcount


def purge_counters(tx: Connection, now: float, used_before: float) -> int:
    """Limits that are full again, failures that were last counted before then, and numbers nothing refers to."""
    b, f, n = buckets.c, failures.c, numbers.c
    full = _batch(sa.select(b.key).where(b.arrival <= now))
    gone = tx.execute(sa.delete(buckets).where(b.key.in_(full))).rowcount
    old = f.last_at <= used_before, f.waits_until <= now
    of_number = _batch(sa.select(f.number_id).where(*old))
    gone += tx.execute(sa.delete(failures).where(f.number_id.in_(of_number), *old)).rowcount
    referred = sa.exists().where(f.number_id == n.id) | sa.exists().where(v.number_id == n.id)
    unused = _batch(sa.select(n.id).where(n.sealed.is_(None), n.seen_until <= used_before, ~referred))
    return gone + tx.execute(sa.delete(numbers).where(n.id.in_(unused))).rowcount


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


def _batch(rows: sa.Select[Any], of: sa.Table | None = None) -> sa.Select[Any]:
    return rows.limit(BATCH).with_for_update(skip_locked=True, of=of)
