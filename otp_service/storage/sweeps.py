"""What time alone does to the tables: in small batches that skip what is in use, so that they never block."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import insert_into
from otp_service.storage.tables import (
    PENDING,
    buckets,
    campaign_messages,
    events,
    failures,
    notifications,
    numbers,
    opt_outs,
    requests,
    sends,
    sweep_turn,
    verifications,
)

BATCH = 50
"""Some five milliseconds: SQLite has one writer, and a check waits for it. More at once is hardly faster."""
ECHO_KEPT_SECONDS = 86400.0
"""What the campaign platform was told is known so long at the least, or its echo would be the person's word."""
HELD_SECONDS = 3600.0
"""When a number that is still needed is looked at again."""
_NO_MESSAGE = {"message_digest": None, "message_sealed": None, "poll_at": None}
v, s, n = verifications.c, sends.c, notifications.c


def take_turn(tx: Connection, now: float, every: float) -> bool:
    """Whether this process sweeps now: what has nothing to do costs as much for many processes as for one."""
    insert = insert_into(tx, sweep_turn).values(id=1, due_at=now + every)
    statement = insert.on_conflict_do_update(
        index_elements=[sweep_turn.c.id], set_={"due_at": now + every}, where=sweep_turn.c.due_at <= now
    )
    return tx.execute(statement.returning(sweep_turn.c.id)).first() is not None


def pass_turn(tx: Connection, now: float) -> None:
    """Something is left to do: whoever comes next goes on."""
    tx.execute(sa.update(sweep_turn).values(due_at=now))


def expire(tx: Connection, now: float) -> int:
    """Pending verifications that are late become expired."""
    late = _take(tx, sa.select(v.id).where(v.status == PENDING, v.expires_at <= now), by=v.expires_at)
    changes = {"status": "expired", "ended_at": v.expires_at, "phrase_sealed": None}
    return _change(tx, verifications, late, changes)


def wipe_hashes(tx: Connection, ended_before: float) -> int:
    """PIN hashes of verifications that ended by then."""
    # Asked of each live one: a join could begin with everything that ever ended.
    ended_at = sa.select(v.ended_at).where(v.id == s.verification_id).scalar_subquery()
    due = sa.select(s.verification_id).where(s.pin_hash.is_not(None), ended_at <= ended_before)
    found = tx.execute(due.order_by(s.verification_id).limit(BATCH)).scalars().all()
    # Their verifications are held: another sweep that changes their sends skips them.
    ids = _take(tx, sa.select(v.id).where(v.id.in_(found)), by=v.id) if found else []
    if not ids:
        return 0
    wiped = sa.update(sends).where(s.verification_id.in_(ids), s.pin_hash.is_not(None))
    return tx.execute(wiped.values(pin_hash=None, pepper_key=None)).rowcount


def forget_numbers(tx: Connection, ended_before: float) -> int:
    """Verifications that ended by then no longer tell their number, nor its slot, nor the vendor's ids."""
    ids = _take(tx, sa.select(v.id).where(v.number_id.is_not(None), v.ended_at <= ended_before), by=v.ended_at)
    if ids:
        tx.execute(sa.update(sends).where(s.verification_id.in_(ids)).values(_NO_MESSAGE))
    wiped = {"number_id": None, "slot": "", "address_digest": None, "phrase_sealed": None}
    return _change(tx, verifications, ids, wiped)


def forget_notified(tx: Connection, ended_before: float) -> int:
    """The same of notifications that left the queue by then."""
    ids = _take(tx, sa.select(n.id).where(n.number_id.is_not(None), n.ended_at <= ended_before), by=n.ended_at)
    return _change(tx, notifications, ids, {"number_id": None, **_NO_MESSAGE})


def wipe_numbers(tx: Connection, now: float, seen_before: float) -> int:
    """Numbers that nothing was sent to since then keep their digest, for the counters, and lose the number.

    Not those that a message waits for, that opted out or whose opt-out is still to be told: they wait a while.
    """
    c, o, f = numbers.c, opt_outs.c, campaign_messages.c
    ids = _take(tx, sa.select(c.id).where(c.sealed.is_not(None), c.seen_until <= seen_before), by=c.seen_until)
    needed = (
        sa.exists().where(n.number_id == c.id, n.ended_at.is_(None))
        | sa.exists().where(o.number_id == c.id, o.opted_out)
        | sa.exists().where(f.number_id == c.id, f.outcome.is_(None))
    )
    kept = {
        "sealed": sa.case((needed, c.sealed)),
        "seen_until": sa.case((needed, now + HELD_SECONDS), else_=c.seen_until),
    }
    return _change(tx, numbers, ids, kept)


def purge_buckets(tx: Connection, now: float) -> int:
    """Limits that are full again."""
    b = buckets.c
    return _delete(
        tx, buckets, b.key, _take(tx, sa.select(b.key).where(b.arrival <= now), by=b.arrival, to_delete=True)
    )


def purge_failures(tx: Connection, now: float, used_before: float) -> int:
    """Failures that were last counted by then and make nobody wait."""
    f = failures.c
    key = f.number_id, f.client_id, f.purpose
    old = sa.select(*key).where(f.last_at <= used_before, f.waits_until <= now)
    return _delete(tx, failures, sa.tuple_(*key), _take(tx, old, by=f.last_at, to_delete=True))


def purge_campaign_messages(tx: Connection, now: float, created_before: float) -> int:
    """What the campaign platform was told by then."""
    created_before = min(created_before, now - ECHO_KEPT_SECONDS)
    f = campaign_messages.c
    old = sa.select(f.id).where(f.created_at <= created_before, f.outcome.is_not(None))
    return _delete(tx, campaign_messages, f.id, _take(tx, old, by=f.created_at, to_delete=True))


def purge_numbers(tx: Connection, used_before: float) -> int:
    """Numbers that nothing refers to, with their opt-out that was lifted."""
    c = numbers.c
    referring = [table.c.number_id for table in (failures, verifications, notifications, campaign_messages)]
    referred = sa.or_(*(sa.exists().where(column == c.id) for column in referring))
    out = sa.exists().where(opt_outs.c.number_id == c.id, opt_outs.c.opted_out)
    unused = sa.select(c.id).where(c.sealed.is_(None), c.seen_until <= used_before, ~referred, ~out)
    ids = _take(tx, unused, by=c.seen_until, to_delete=True)
    _delete(tx, opt_outs, opt_outs.c.number_id, ids)
    return _delete(tx, numbers, c.id, ids)


def purge_requests(tx: Connection, claimed_before: float) -> int:
    """Idempotency keys claimed by then."""
    r = requests.c
    old = sa.select(r.id).where(r.claimed_at <= claimed_before)
    return _delete(tx, requests, r.id, _take(tx, old, by=r.claimed_at, to_delete=True))


def purge_audit(tx: Connection, ended_before: float) -> int:
    """Verifications that ended by then, with their story."""
    ids = _take(tx, sa.select(v.id).where(v.ended_at <= ended_before), by=v.ended_at, to_delete=True)
    _delete(tx, events, events.c.verification_id, ids)
    _delete(tx, sends, s.verification_id, ids)
    return _delete(tx, verifications, v.id, ids)


def purge_notifications(tx: Connection, ended_before: float) -> int:
    """Notifications that left the queue by then."""
    old = sa.select(n.id).where(n.ended_at <= ended_before)
    return _delete(tx, notifications, n.id, _take(tx, old, by=n.ended_at, to_delete=True))


def _take(tx: Connection, due: sa.Select[Any], *, by: sa.Column[Any], to_delete: bool = False) -> list[Any]:
    """The keys of the first rows that nobody else holds, held; what is not to be deleted can still be referred to.

    `by`: the column of the index to read; without an order PostgreSQL reads the table where it expects many.
    """
    few = due.order_by(by).limit(BATCH).with_for_update(skip_locked=True, key_share=not to_delete)
    return [row[0] if len(row) == 1 else tuple(row) for row in tx.execute(few)]


def _change(tx: Connection, table: sa.Table, ids: list[Any], changes: dict[str, Any]) -> int:
    if not ids:
        return 0
    return tx.execute(sa.update(table).where(table.c.id.in_(ids)).values(changes)).rowcount


def _delete(tx: Connection, table: sa.Table, key: sa.ColumnElement[Any], keys: list[Any]) -> int:
    if not keys:
        return 0
    return tx.execute(sa.delete(table).where(key.in_(keys))).rowcount
