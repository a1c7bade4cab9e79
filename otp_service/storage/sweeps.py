"""Statements that expire, wipe and delete rows: small batches that skip locked rows, so that they never block."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import insert_into
from otp_service.storage.batches import BATCH, change, delete, lock
from otp_service.storage.tables import (
    PENDING,
    buckets,
    campaign_messages,
    events,
    factors,
    failures,
    known_people,
    notifications,
    numbers,
    opt_outs,
    requests,
    sends,
    sweep_turn,
    verifications,
    webhook_deliveries,
    webhooks,
)
from otp_service.storage.verifications.endings import ALL_SPENT, ENDS_AS, ENDS_AT, LOST_AT
from otp_service.storage.verifications.verifications import EVENTS
from otp_service.storage.webhooks import ACTIVE

ECHO_KEPT_SECONDS = 86400.0
"""Campaign messages are kept at least this long: without its row, an echo would count as the person's own text."""
HELD_SECONDS = 3600.0
"""How long a number that is still needed is left alone."""
_NO_MESSAGE = {"message_digest": None, "message_sealed": None, "poll_at": None}
_NO_SEND = {**_NO_MESSAGE, "guard_keys": None}
_ENDED = {"status": ENDS_AS, "ended_at": ENDS_AT, "phrase_sealed": None}
v, s, n, d = verifications.c, sends.c, notifications.c, webhook_deliveries.c


def claim_turn(tx: Connection, now: float, every: float) -> bool:
    """Claim the next round of sweeps; False if it is not due yet. One process sweeps for all."""
    insert = insert_into(tx, sweep_turn).values(id=1, due_at=now + every)
    statement = insert.on_conflict_do_update(
        index_elements=[sweep_turn.c.id], set_={"due_at": now + every}, where=sweep_turn.c.due_at <= now
    )
    return tx.execute(statement.returning(sweep_turn.c.id)).first() is not None


def return_turn(tx: Connection, now: float) -> None:
    """Make the next round due at once: rows are left to sweep."""
    tx.execute(sa.update(sweep_turn).values(due_at=now))


def expire(tx: Connection, now: float) -> int:
    """Expire pending verifications that are past their lifetime."""
    late = lock(tx, sa.select(v.id).where(v.status == PENDING, v.expires_at <= now), by=v.expires_at)
    return _end(tx, late, now)


def exhaust(tx: Connection, now: float) -> int:
    """Exhaust pending verifications whose last attempt was spent by a check that died."""
    lost = sa.select(v.id).where(v.status == PENDING, ALL_SPENT, now >= LOST_AT)
    return _end(tx, lock(tx, lost, by=v.expires_at), now)


def _end(tx: Connection, ids: list[Any], now: float) -> int:
    count = change(tx, verifications, ids, _ENDED)
    EVENTS.record(tx, ids, now=now)
    return count


def wipe_hashes(tx: Connection, ended_before: float) -> int:
    """Wipe the PIN hashes of verifications that ended by then."""
    # Asked of each live one: a join could begin with everything that ever ended.
    ended_at = sa.select(v.ended_at).where(v.id == s.verification_id).scalar_subquery()
    due = sa.select(s.verification_id).where(s.pin_hash.is_not(None), ended_at <= ended_before)
    found = tx.execute(due.order_by(s.verification_id).limit(BATCH)).scalars().all()
    # Their verifications are locked: another sweep that changes their sends skips them.
    ids = lock(tx, sa.select(v.id).where(v.id.in_(found)), by=v.id) if found else []
    if not ids:
        return 0
    wiped = sa.update(sends).where(s.verification_id.in_(ids), s.pin_hash.is_not(None))
    return tx.execute(wiped.values(pin_hash=None, pepper_key=None)).rowcount


def wipe_number_of_verifications(tx: Connection, ended_before: float) -> int:
    """Remove the number, the slot and the message ids from verifications that ended by then."""
    ids = lock(tx, sa.select(v.id).where(v.number_id.is_not(None), v.ended_at <= ended_before), by=v.ended_at)
    if ids:
        tx.execute(sa.update(sends).where(s.verification_id.in_(ids)).values(_NO_SEND))
    wiped = {"number_id": None, "slot": "", "address_digest": None, "phrase_sealed": None}
    return change(tx, verifications, ids, wiped)


def wipe_number_of_notifications(tx: Connection, ended_before: float) -> int:
    """Remove the number and the message id from notifications that left the queue by then."""
    ids = lock(tx, sa.select(n.id).where(n.number_id.is_not(None), n.ended_at <= ended_before), by=n.ended_at)
    return change(tx, notifications, ids, {"number_id": None, **_NO_MESSAGE})


def wipe_number_of_deliveries(tx: Connection, ended_before: float) -> int:
    """Remove the number from events for webhooks that left the queue by then."""
    ids = lock(tx, sa.select(d.id).where(d.number_id.is_not(None), d.ended_at <= ended_before), by=d.ended_at)
    return change(tx, webhook_deliveries, ids, {"number_id": None})


def fail_undeliverable(tx: Connection, now: float) -> int:
    """Give up events that wait for a webhook which was disabled or deleted."""
    gone = sa.select(webhooks.c.id).where(webhooks.c.status != ACTIVE)
    waiting = sa.select(d.id).where(d.status == PENDING, d.webhook_id.in_(gone))
    ended = {"status": "failed", "due_at": None, "ended_at": now, "last_error": "webhook_disabled"}
    return change(tx, webhook_deliveries, lock(tx, waiting, by=d.due_at), ended)


def wipe_numbers(tx: Connection, now: float, seen_before: float) -> int:
    """Wipe the sealed form of numbers that nothing was sent to since then; the digest stays for the counters.

    A number that opted out, that is a factor, or for which a notification, a campaign message or an event waits, is
    kept for a while.
    """
    c, o, f = numbers.c, opt_outs.c, campaign_messages.c
    ids = lock(tx, sa.select(c.id).where(c.sealed.is_not(None), c.seen_until <= seen_before), by=c.seen_until)
    needed = (
        sa.exists().where(n.number_id == c.id, n.ended_at.is_(None))
        | sa.exists().where(o.number_id == c.id, o.opted_out)
        | sa.exists().where(factors.c.number_id == c.id)
        | sa.exists().where(f.number_id == c.id, f.outcome.is_(None))
        | sa.exists().where(d.number_id == c.id, d.ended_at.is_(None))
    )
    kept = {
        "sealed": sa.case((needed, c.sealed)),
        "seen_until": sa.case((needed, now + HELD_SECONDS), else_=c.seen_until),
    }
    return change(tx, numbers, ids, kept)


def purge_buckets(tx: Connection, now: float) -> int:
    """Delete limits that are full again."""
    b = buckets.c
    return delete(tx, buckets, b.key, lock(tx, sa.select(b.key).where(b.arrival <= now), by=b.arrival, to_delete=True))


def purge_failures(tx: Connection, now: float, used_before: float) -> int:
    """Delete failure counts that were last changed by then and lock nothing."""
    f = failures.c
    key = f.number_id, f.client_id, f.purpose
    old = sa.select(*key).where(f.last_at <= used_before, f.waits_until <= now)
    return delete(tx, failures, sa.tuple_(*key), lock(tx, old, by=f.last_at, to_delete=True))


def purge_campaign_messages(tx: Connection, now: float, created_before: float) -> int:
    """Delete ended campaign messages that were created by then."""
    created_before = min(created_before, now - ECHO_KEPT_SECONDS)
    f = campaign_messages.c
    old = sa.select(f.id).where(f.created_at <= created_before, f.outcome.is_not(None))
    return delete(tx, campaign_messages, f.id, lock(tx, old, by=f.created_at, to_delete=True))


def purge_numbers(tx: Connection, used_before: float) -> int:
    """Delete numbers that nothing refers to, with their lifted opt-outs."""
    c = numbers.c
    tables = (failures, verifications, notifications, campaign_messages, webhook_deliveries, factors, known_people)
    referring = [table.c.number_id for table in tables]
    referred = sa.or_(*(sa.exists().where(column == c.id) for column in referring))
    out = sa.exists().where(opt_outs.c.number_id == c.id, opt_outs.c.opted_out)
    unused = sa.select(c.id).where(c.sealed.is_(None), c.seen_until <= used_before, ~referred, ~out)
    ids = lock(tx, unused, by=c.seen_until, to_delete=True)
    delete(tx, opt_outs, opt_outs.c.number_id, ids)
    return delete(tx, numbers, c.id, ids)


def purge_requests(tx: Connection, claimed_before: float) -> int:
    """Delete idempotency keys that were claimed by then."""
    r = requests.c
    old = sa.select(r.id).where(r.claimed_at <= claimed_before)
    return delete(tx, requests, r.id, lock(tx, old, by=r.claimed_at, to_delete=True))


def purge_audit(tx: Connection, ended_before: float) -> int:
    """Delete verifications that ended by then, with their sends and events."""
    ids = lock(tx, sa.select(v.id).where(v.ended_at <= ended_before), by=v.ended_at, to_delete=True)
    delete(tx, events, events.c.verification_id, ids)
    delete(tx, sends, s.verification_id, ids)
    return delete(tx, verifications, v.id, ids)


def purge_notifications(tx: Connection, ended_before: float) -> int:
    """Delete notifications that left the queue by then."""
    old = sa.select(n.id).where(n.ended_at <= ended_before)
    return delete(tx, notifications, n.id, lock(tx, old, by=n.ended_at, to_delete=True))


def purge_deliveries(tx: Connection, ended_before: float) -> int:
    """Delete events for webhooks that left the queue by then."""
    old = sa.select(d.id).where(d.ended_at <= ended_before)
    return delete(tx, webhook_deliveries, d.id, lock(tx, old, by=d.ended_at, to_delete=True))
