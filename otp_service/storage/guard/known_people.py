"""The table `known_people`: a client, number and subject that were approved together."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, insert_into
from otp_service.storage.batches import delete, lock
from otp_service.storage.tables import known_people

k = known_people.c


def since(tx: Connection, *, number_id: int, client_id: str, subject: str) -> float | None:
    """Return when they were first approved together, None if they never were."""
    found = k.number_id == number_id, k.client_id == client_id, k.subject == subject
    return tx.scalar(sa.select(k.since).where(*found))


def record(tx: Connection, *, number_id: int, client_id: str, subject: str, at: float) -> None:
    """Record an approval."""
    new = insert_into(tx, known_people).values(
        number_id=number_id, client_id=client_id, subject=subject, since=at, last_at=at
    )
    later = sa.case((k.last_at > new.excluded.last_at, k.last_at), else_=new.excluded.last_at)
    tx.execute(new.on_conflict_do_update(index_elements=[k.number_id, k.client_id, k.subject], set_={"last_at": later}))


def of_subject(tx: Connection, *, client_id: str, subject: str) -> Sequence[AnyRow]:
    """Return `since` and `last_at` for each number of a subject, the oldest first."""
    statement = sa.select(k.since, k.last_at).where(k.client_id == client_id, k.subject == subject)
    return tx.execute(statement.order_by(k.since)).all()


def erase(tx: Connection, *, client_id: str, subject: str) -> int:
    """Forget a subject; return how many rows there were."""
    return tx.execute(sa.delete(known_people).where(k.client_id == client_id, k.subject == subject)).rowcount


def merge(tx: Connection, *, keep: int, drop: int) -> None:
    """Give what is known of one row of a number to another row of it."""
    moved = sa.select(sa.literal(keep), k.client_id, k.subject, k.since, k.last_at).where(k.number_id == drop)
    new = insert_into(tx, known_people).from_select([k.number_id, k.client_id, k.subject, k.since, k.last_at], moved)
    first = sa.case((k.since < new.excluded.since, k.since), else_=new.excluded.since)
    last = sa.case((k.last_at > new.excluded.last_at, k.last_at), else_=new.excluded.last_at)
    key = [k.number_id, k.client_id, k.subject]
    tx.execute(new.on_conflict_do_update(index_elements=key, set_={"since": first, "last_at": last}))
    tx.execute(sa.delete(known_people).where(k.number_id == drop))


def purge(tx: Connection, approved_before: float) -> int:
    """Delete people whose last approval was by then."""
    key = k.number_id, k.client_id, k.subject
    old = sa.select(*key).where(k.last_at <= approved_before)
    return delete(tx, known_people, sa.tuple_(*key), lock(tx, old, by=k.last_at, to_delete=True))
