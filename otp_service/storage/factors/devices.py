"""The table `devices`: the browsers and apps that a subject asked to remember."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, counts_by_key
from otp_service.storage.tables import devices, subjects

d = devices.c
COLUMNS = (d.id, d.created_at, d.expires_at, d.last_used_at)


def insert(tx: Connection, device_id: str, subject_id: int, digest: str, *, now: float, expires_at: float) -> None:
    """Add a device."""
    row = {"id": device_id, "subject_id": subject_id, "digest": digest, "created_at": now, "expires_at": expires_at}
    tx.execute(sa.insert(devices).values(row))


def use(tx: Connection, subject_id: int, digests: Collection[str], now: float) -> bool:
    """Record that a device of the subject was used; return False if it has none with these digests."""
    mine = sa.update(devices).where(d.subject_id == subject_id, d.digest.in_(list(digests)), d.expires_at > now)
    return tx.execute(mine.values(last_used_at=now)).rowcount == 1


def of_subject(tx: Connection, subject_id: int, now: float) -> Sequence[AnyRow]:
    """Return the devices of a subject, oldest first: `COLUMNS`."""
    statement = sa.select(*COLUMNS).where(d.subject_id == subject_id, d.expires_at > now)
    return tx.execute(statement.order_by(d.created_at, d.id)).all()


def read(tx: Connection, client_id: str, device_id: str, now: float) -> AnyRow | None:
    """Return a device of a client: `COLUMNS`, `subject_id` and `subject`."""
    statement = sa.select(*COLUMNS, d.subject_id, subjects.c.subject).join_from(devices, subjects)
    return tx.execute(statement.where(d.id == device_id, subjects.c.client_id == client_id, d.expires_at > now)).first()


def delete(tx: Connection, device_id: str) -> bool:
    """Delete a device; return False if it is gone."""
    return tx.execute(sa.delete(devices).where(d.id == device_id)).rowcount == 1


def delete_of_subject(tx: Connection, subject_id: int) -> None:
    """Delete every device of a subject."""
    tx.execute(sa.delete(devices).where(d.subject_id == subject_id))


def delete_next(tx: Connection, *, after: str, limit: int) -> Sequence[str]:
    """Delete the next devices of anybody, by id; return their ids."""
    ids = tx.scalars(sa.select(d.id).where(d.id > after).order_by(d.id).limit(limit)).all()
    tx.execute(sa.delete(devices).where(d.id.in_(ids)))
    return ids


def count_by_key(tx: Connection) -> dict[str, int]:
    """Return the number of devices that are kept under each key id."""
    return counts_by_key(tx, d.digest)
