"""The tables `clients` and `api_keys`."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.tables import api_keys, clients

c, k = clients.c, api_keys.c


def insert(tx: Connection, *, client_id: str, name: str, now: float) -> None:
    """Add a client."""
    tx.execute(sa.insert(clients).values(id=client_id, name=name, created_at=now))


def by_name(tx: Connection, name: str) -> AnyRow | None:
    """Return a client, revoked or not."""
    return tx.execute(sa.select(c.id, c.name, c.created_at, c.revoked_at).where(c.name == name)).first()


def by_id(tx: Connection, client_id: str) -> AnyRow | None:
    """Return a client, revoked or not."""
    return tx.execute(sa.select(c.id, c.name, c.created_at, c.revoked_at).where(c.id == client_id)).first()


def list_all(tx: Connection) -> Sequence[AnyRow]:
    """Return all clients by name."""
    return tx.execute(sa.select(c.id, c.name, c.created_at, c.revoked_at).order_by(c.name)).all()


def names(tx: Connection) -> dict[str, str]:
    """Return the names of all clients by id."""
    return {row.id: row.name for row in list_all(tx)}


def list_keys(tx: Connection, now: float) -> Sequence[AnyRow]:
    """Return the keys that work, oldest first: id, client_id, created_at, expires_at, last_used_at."""
    valid = sa.and_(c.revoked_at.is_(None), sa.or_(k.expires_at.is_(None), k.expires_at > now))
    columns = (k.id, k.client_id, k.created_at, k.expires_at, k.last_used_at)
    return tx.execute(sa.select(*columns).join(clients, c.id == k.client_id).where(valid).order_by(k.id)).all()


def record_use(tx: Connection, key_id: int, now: float) -> None:
    """Write down that a key was used."""
    tx.execute(sa.update(api_keys).where(k.id == key_id).values(last_used_at=now))


def by_key(tx: Connection, digest: str, now: float) -> AnyRow | None:
    """Return the client of a key, None if either is no longer valid."""
    statement = (
        sa.select(c.id, c.name, k.id.label("key_id"), k.last_used_at)
        .join(api_keys, k.client_id == c.id)
        .where(k.digest == digest, c.revoked_at.is_(None), sa.or_(k.expires_at.is_(None), k.expires_at > now))
    )
    return tx.execute(statement).first()


def add_key(tx: Connection, *, client_id: str, digest: str, now: float) -> None:
    """Add a key."""
    tx.execute(sa.insert(api_keys).values(client_id=client_id, digest=digest, created_at=now))


def expire_keys(tx: Connection, *, client_id: str, at: float) -> None:
    """End the client's keys at `at`, or earlier if they end before."""
    statement = sa.update(api_keys).where(k.client_id == client_id, sa.or_(k.expires_at.is_(None), k.expires_at > at))
    tx.execute(statement.values(expires_at=at))


def revoke(tx: Connection, *, client_id: str, now: float) -> None:
    """Revoke the client and all its keys."""
    tx.execute(sa.update(clients).where(c.id == client_id, c.revoked_at.is_(None)).values(revoked_at=now))
