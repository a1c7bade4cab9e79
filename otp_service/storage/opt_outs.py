"""The table `opt_outs`: numbers that opted out of all messages, or did so before.

`source`: `user`, the person by SMS, or `client`, an application. Lock its number's row before a change.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, insert_into
from otp_service.storage.tables import numbers, opt_outs
from otp_service.storage.webhook_events import EventSource

USER, CLIENT = "user", "client"
o = opt_outs.c
_KNOWS_NUMBER = """webhooks.client_id = changed.client_id
    OR EXISTS (SELECT 1 FROM verifications AS v
        WHERE v.number_id = changed.number_id AND v.client_id = webhooks.client_id)
    OR EXISTS (SELECT 1 FROM notifications AS n
        WHERE n.number_id = changed.number_id AND n.client_id = webhooks.client_id)"""
"""Other clients must not learn the number from an event, nor that it opted out."""
EVENTS = EventSource(
    "number",
    o.number_id,
    (o.opted_out, o.source, o.since),
    status_sql="CASE WHEN changed.opted_out THEN 'opted_out' ELSE 'opted_in' END",
    gets_sql=_KNOWS_NUMBER,
)


def is_out(tx: Connection, number_id: int) -> bool:
    """Return whether the number has opted out."""
    return bool(tx.scalar(sa.select(o.opted_out).where(o.number_id == number_id)))


def read(tx: Connection, number_id: int) -> AnyRow | None:
    """Return a number's row, None if it never opted out."""
    return tx.execute(_read().where(o.number_id == number_id)).first()


def find(tx: Connection, digests: Mapping[str, str]) -> AnyRow | None:
    """Return the row of the number with one of these digests."""
    joined = _read().join(numbers, numbers.c.id == o.number_id)
    return tx.execute(joined.where(numbers.c.digest.in_(list(digests.values()))).limit(1)).first()


def _read() -> sa.Select[Any]:
    return sa.select(o.opted_out, o.source, o.since, o.listed_at, o.texted_at)


def add(tx: Connection, number_id: int, *, client_id: str, now: float) -> bool:
    """Opt a number out for a client; return False if it has opted out already, whoever said so."""
    insert = insert_into(tx, opt_outs).values(
        number_id=number_id, opted_out=True, source=CLIENT, client_id=client_id, since=now
    )
    changes = {"opted_out": True, "source": CLIENT, "client_id": client_id, "since": now}
    statement = insert.on_conflict_do_update(index_elements=[o.number_id], set_=changes, where=~o.opted_out)
    is_new = tx.execute(statement.returning(o.number_id)).first() is not None
    if is_new:
        EVENTS.record(tx, [number_id], now=now)
    return is_new


def add_by_user(tx: Connection, number_id: int, now: float) -> None:
    """Opt a number out for its person: only the person or an operator lifts it."""
    values = {"opted_out": True, "source": USER}
    insert = insert_into(tx, opt_outs).values(number_id=number_id, since=now, **values)
    changes = values | {"since": sa.case((o.opted_out, o.since), else_=now)}
    was_out = is_out(tx, number_id)
    tx.execute(insert.on_conflict_do_update(index_elements=[o.number_id], set_=changes))
    if not was_out:
        EVENTS.record(tx, [number_id], now=now)


def lift(tx: Connection, number_id: int, *, now: float, source: str | None = None) -> bool:
    """Let the number get messages again; return False if it did. `source`: lift only an opt-out of theirs."""
    statement = sa.update(opt_outs).where(o.number_id == number_id, o.opted_out)
    if source is not None:
        statement = statement.where(o.source == source)
    is_lifted = tx.execute(statement.values(opted_out=False, since=now)).rowcount == 1
    if is_lifted:
        EVENTS.record(tx, [number_id], now=now)
    return is_lifted


def record_listed(tx: Connection, number_id: int, now: float, *, texted_at: float | None) -> None:
    """Record that the gateway's list showed a keyword of this number: a callback about it may be old.

    `texted_at`: the gateway's time of the text, if it was the person's own.
    """
    changes = {"listed_at": now} | ({"texted_at": texted_at} if texted_at is not None else {})
    tx.execute(sa.update(opt_outs).where(o.number_id == number_id).values(changes))


def merge(tx: Connection, *, keep: int, drop: int) -> None:
    """Give what one row of a number says to another row of it: opted out counts more, by the person still more."""
    rows = tx.execute(sa.select(opt_outs).where(o.number_id.in_((keep, drop)))).mappings().all()
    if not any(row["number_id"] == drop for row in rows):
        return
    strictest = max(rows, key=lambda row: (row["opted_out"], row["source"] == USER, row["since"]))
    tx.execute(sa.delete(opt_outs).where(o.number_id.in_((keep, drop))))
    tx.execute(sa.insert(opt_outs).values({**strictest, "number_id": keep}))
