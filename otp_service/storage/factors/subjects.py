"""The table `subjects`: the users of a client that have factors, or had. Their rows serialize what changes factors."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, insert_into
from otp_service.storage.tables import factors, subjects

s = subjects.c


@dataclass(frozen=True)
class Owner:
    """A subject of a client. `id`: of its row."""

    client_id: str
    subject: str
    id: int


def lock(tx: Connection, client_id: str, subject: str, *, now: float) -> int:
    """Return the id of a subject, inserted if it is new, and lock its row until the commit."""
    new = insert_into(tx, subjects).values(client_id=client_id, subject=subject, created_at=now, idle_since=now)
    still_idle = sa.case((s.idle_since.is_not(None), now))
    locked = new.on_conflict_do_update(index_elements=[s.client_id, s.subject], set_={"idle_since": still_idle})
    return int(tx.execute(locked.returning(s.id)).scalar_one())


def find(tx: Connection, client_id: str, subject: str) -> AnyRow | None:
    """Return a subject: `id`, `created_at`, `codes_created_at`."""
    statement = sa.select(s.id, s.created_at, s.codes_created_at)
    return tx.execute(statement.where(s.client_id == client_id, s.subject == subject)).first()


def lock_row(tx: Connection, subject_id: int) -> AnyRow | None:
    """Lock a subject until the commit and return its row; None if it was erased."""
    # Not its key: a check that has locked its challenge inserts rows that refer to it, and would wait in a circle.
    return tx.execute(sa.select(subjects).where(s.id == subject_id).with_for_update(key_share=True)).first()


def record_codes(tx: Connection, subject_id: int, now: float | None) -> None:
    """Record when the subject's recovery codes were made; None if it has none any more."""
    tx.execute(sa.update(subjects).where(s.id == subject_id).values(codes_created_at=now))


def record_use(tx: Connection, subject_id: int, now: float) -> None:
    """Record that the subject is idle if it has no factor, so that a sweep deletes it later."""
    has_factor = sa.exists().where(factors.c.subject_id == subject_id)
    tx.execute(sa.update(subjects).where(s.id == subject_id).values(idle_since=sa.case((~has_factor, now))))


def delete(tx: Connection, subject_id: int) -> None:
    """Delete a subject that nothing refers to."""
    tx.execute(sa.delete(subjects).where(s.id == subject_id))
