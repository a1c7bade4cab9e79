"""The table `opt_outs`: numbers that want nothing from us, and who said so.

`source`: `user`, the person by SMS, or `client`, an application. Whoever changes a row holds its number's.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, insert_into
from otp_service.storage.tables import numbers, opt_outs

USER, CLIENT = "user", "client"
o = opt_outs.c


def is_out(tx: Connection, number_id: int) -> bool:
    """Whether the number wants nothing."""
    return bool(tx.scalar(sa.select(o.opted_out).where(o.number_id == number_id)))


def read(tx: Connection, number_id: int) -> AnyRow | None:
    """What the number said: opted_out, source, since, listed_at."""
    return tx.execute(_read().where(o.number_id == number_id)).first()


def find(tx: Connection, digests: Mapping[str, str]) -> AnyRow | None:
    """The same, by the number's digests."""
    joined = _read().join(numbers, numbers.c.id == o.number_id)
    return tx.execute(joined.where(numbers.c.digest.in_(list(digests.values()))).limit(1)).first()


def _read() -> sa.Select[tuple[bool, str, float, float | None]]:
    return sa.select(o.opted_out, o.source, o.since, o.listed_at)


def add(tx: Connection, number_id: int, *, client_id: str, now: float) -> bool:
    """A client opts a number out; False where it is out already, whoever said so."""
    insert = insert_into(tx, opt_outs).values(
        number_id=number_id, opted_out=True, source=CLIENT, client_id=client_id, since=now
    )
    changes = {"opted_out": True, "source": CLIENT, "client_id": client_id, "since": now}
    statement = insert.on_conflict_do_update(index_elements=[o.number_id], set_=changes, where=~o.opted_out)
    return tx.execute(statement.returning(o.number_id)).first() is not None


def add_by_user(tx: Connection, number_id: int, now: float) -> None:
    """The person opts out: from now on only the person, or an operator, lifts it."""
    insert = insert_into(tx, opt_outs).values(number_id=number_id, opted_out=True, source=USER, since=now)
    since = sa.case((o.opted_out, o.since), else_=now)
    changes = {"opted_out": True, "source": USER, "client_id": None, "since": since}
    tx.execute(insert.on_conflict_do_update(index_elements=[o.number_id], set_=changes))


def lift(tx: Connection, number_id: int, *, now: float, source: str | None = None) -> bool:
    """The number takes messages again; False where it did. `source`: only an opt-out of theirs."""
    statement = sa.update(opt_outs).where(o.number_id == number_id, o.opted_out)
    if source is not None:
        statement = statement.where(o.source == source)
    return tx.execute(statement.values(opted_out=False, since=now)).rowcount == 1


def note_listed(tx: Connection, number_id: int, now: float) -> None:
    """The gateway's list showed a word of this number: what a callback says of it may be old."""
    tx.execute(sa.update(opt_outs).where(o.number_id == number_id).values(listed_at=now))


def merge(tx: Connection, *, keep: int, drop: int) -> None:
    """Give what one row of a number says to another row of it: opted out counts more, by the person still more."""
    rows = tx.execute(sa.select(opt_outs).where(o.number_id.in_((keep, drop)))).mappings().all()
    if not any(row["number_id"] == drop for row in rows):
        return
    strictest = max(rows, key=lambda row: (row["opted_out"], row["source"] == USER, row["since"]))
    tx.execute(sa.delete(opt_outs).where(o.number_id.in_((keep, drop))))
    tx.execute(sa.insert(opt_outs).values({**strictest, "number_id": keep}))
