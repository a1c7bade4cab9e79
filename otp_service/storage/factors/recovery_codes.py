"""The table `recovery_codes`: the keyed digests of the codes that a subject has left."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import counts_by_key
from otp_service.storage.tables import recovery_codes, subjects

c = recovery_codes.c


def replace(tx: Connection, subject_id: int, digests: Collection[str]) -> None:
    """Replace all codes of a subject."""
    delete_of_subject(tx, subject_id)
    tx.execute(sa.insert(recovery_codes), [{"subject_id": subject_id, "digest": digest} for digest in digests])


def use(tx: Connection, subject_id: int, digests: Collection[str]) -> bool:
    """Delete the code that has one of these digests; return False if the subject has none of them."""
    statement = sa.delete(recovery_codes).where(c.subject_id == subject_id, c.digest.in_(list(digests)))
    return tx.execute(statement).rowcount == 1


def count(tx: Connection, subject_id: int) -> int:
    """Return how many codes a subject has left."""
    return int(tx.scalar(sa.select(sa.func.count()).where(c.subject_id == subject_id)) or 0)


def delete_of_subject(tx: Connection, subject_id: int) -> None:
    """Delete all codes of a subject."""
    tx.execute(sa.delete(recovery_codes).where(c.subject_id == subject_id))


def delete_next(tx: Connection, *, after: int, limit: int) -> Sequence[int]:
    """Delete the codes of the next subjects that have any, by id; return the ids of the subjects."""
    owners = sa.select(c.subject_id).where(c.subject_id > after).distinct().order_by(c.subject_id).limit(limit)
    ids = tx.scalars(owners).all()
    tx.execute(sa.update(subjects).where(subjects.c.id.in_(ids)).values(codes_created_at=None))
    tx.execute(sa.delete(recovery_codes).where(c.subject_id.in_(ids)))
    return ids


def count_by_key(tx: Connection) -> dict[str, int]:
    """Return the number of codes that are kept under each key id."""
    return counts_by_key(tx, c.digest)
