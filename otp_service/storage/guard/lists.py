"""The tables `guard_lists` (prefixes that are always or never let through) and `guard_audit` (what operators did)."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, insert_into
from otp_service.storage.batches import delete, lock
from otp_service.storage.tables import guard_audit, guard_lists

entry, audit = guard_lists.c, guard_audit.c


def find(tx: Connection, prefix: str, now: float) -> AnyRow | None:
    """Return the entry of exactly this prefix, if it counts now."""
    return tx.execute(sa.select(guard_lists).where(entry.prefix == prefix, _counts(now))).first()


def put(tx: Connection, prefix: str, *, verdict: str, until: float | None, note: str | None, now: float) -> None:
    """Add an entry, or replace the one of the prefix."""
    values = {"verdict": verdict, "until": until, "note": note, "created_at": now}
    new = insert_into(tx, guard_lists).values(prefix=prefix, **values)
    tx.execute(new.on_conflict_do_update(index_elements=[entry.prefix], set_=values))


def remove(tx: Connection, prefix: str) -> bool:
    """Remove the entry of a prefix; False if there is none."""
    return tx.execute(sa.delete(guard_lists).where(entry.prefix == prefix)).rowcount == 1


def entries(tx: Connection, now: float) -> Sequence[AnyRow]:
    """Return the entries that count now, by prefix."""
    return tx.execute(sa.select(guard_lists).where(_counts(now)).order_by(entry.prefix)).all()


def _counts(now: float) -> sa.ColumnElement[bool]:
    return sa.or_(entry.until.is_(None), entry.until > now)


def record_change(tx: Connection, action: str, target: str, *, note: str | None = None, now: float) -> None:
    """Record what an operator did."""
    tx.execute(sa.insert(guard_audit).values(at=now, action=action, target=target, note=note))


def purge_audit(tx: Connection, before: float) -> int:
    """Delete what operators did by then."""
    old = sa.select(audit.id).where(audit.at <= before)
    return delete(tx, guard_audit, audit.id, lock(tx, old, by=audit.at, to_delete=True))
