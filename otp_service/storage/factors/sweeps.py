"""Statements that delete what is over of factors, in small batches that skip locked rows."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.batches import BATCH, delete, lock
from otp_service.storage.factors.factors import UNVERIFIED_SECONDS
from otp_service.storage.tables import devices, factors, recovery_codes, subject_failures, subjects

f, s, d = factors.c, subjects.c, devices.c


def purge_unverified(tx: Connection, now: float) -> int:
    """Delete factors that were not verified in time; a subject without another factor is idle from now on."""
    unverified = f.status == sa.literal_column("'unverified'")
    late = sa.select(f.id, f.subject_id).where(unverified, f.created_at <= now - UNVERIFIED_SECONDS)
    found = tx.execute(late.order_by(f.created_at).limit(BATCH)).all()
    # Whoever changes factors locks the subject first.
    owners = lock(tx, sa.select(s.id).where(s.id.in_({row.subject_id for row in found})), by=s.id) if found else []
    if not owners:
        return 0
    ids = [row.id for row in found if row.subject_id in owners]
    count = tx.execute(sa.delete(factors).where(f.id.in_(ids), unverified)).rowcount
    has_factor = sa.exists().where(f.subject_id == s.id)
    tx.execute(sa.update(subjects).where(s.id.in_(owners), s.idle_since.is_(None), ~has_factor).values(idle_since=now))
    return count


def purge_devices(tx: Connection, now: float) -> int:
    """Delete devices that have expired."""
    expired = sa.select(d.id).where(d.expires_at <= now)
    return delete(tx, devices, d.id, lock(tx, expired, by=d.expires_at, to_delete=True))


def purge_failures(tx: Connection, now: float, used_before: float) -> int:
    """Delete counts of wrong checks that were last changed by then and lock nothing."""
    c = subject_failures.c
    key = c.subject_id, c.kind
    old = sa.select(*key).where(c.last_at <= used_before, c.waits_until <= now)
    return delete(tx, subject_failures, sa.tuple_(*key), lock(tx, old, by=c.last_at, to_delete=True))


def purge_idle(tx: Connection, idle_before: float) -> int:
    """Delete subjects that have had no factor since then, with their recovery codes, unless a wait remains."""
    waits = sa.exists().where(subject_failures.c.subject_id == s.id)
    idle = sa.select(s.id).where(s.idle_since <= idle_before, ~waits)
    ids = lock(tx, idle, by=s.idle_since, to_delete=True)
    delete(tx, recovery_codes, recovery_codes.c.subject_id, ids)
    delete(tx, devices, d.subject_id, ids)
    return delete(tx, subjects, s.id, ids)
