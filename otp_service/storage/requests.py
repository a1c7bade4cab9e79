"""The table `requests`: what an `Idempotency-Key` stands for."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, counts_by_key, insert_into
from otp_service.storage.tables import requests

r = requests.c


def insert(tx: Connection, *, client_id: str, key_digest: str, fingerprint: str, now: float) -> int | None:
    """Return the id of the new row, None if the key is taken."""
    statement = insert_into(tx, requests).values(
        client_id=client_id, key_digest=key_digest, fingerprint=fingerprint, claimed_at=now
    )
    return tx.execute(statement.on_conflict_do_nothing().returning(r.id)).scalar_one_or_none()


def read(tx: Connection, client_id: str, key_digest: str) -> AnyRow | None:
    """Return the row of a key."""
    return tx.execute(sa.select(requests).where(r.client_id == client_id, r.key_digest == key_digest)).first()


def take_over(tx: Connection, request_id: int, *, claimed_at: float, now: float) -> bool:
    """Take over the key of a dead request; of several that try, one succeeds."""
    statement = sa.update(requests).where(r.id == request_id, r.claimed_at == claimed_at, r.status.is_(None))
    return tx.execute(statement.values(claimed_at=now)).rowcount == 1


def lock(tx: Connection, request_id: int, claimed_at: float) -> bool:
    """Return whether no other request took over the key, and lock its row until the commit."""
    statement = sa.update(requests).where(r.id == request_id, r.claimed_at == claimed_at, r.status.is_(None))
    return tx.execute(statement.values(claimed_at=claimed_at)).rowcount == 1


def keep(tx: Connection, request_id: int, *, claimed_at: float, status: int, sealed: str) -> None:
    """Save the response."""
    statement = sa.update(requests).where(r.id == request_id, r.claimed_at == claimed_at)
    tx.execute(statement.values(status=status, sealed=sealed))


def release(tx: Connection, request_id: int, claimed_at: float) -> None:
    """Delete the row of a refused request: the key is free again."""
    tx.execute(sa.delete(requests).where(r.id == request_id, r.claimed_at == claimed_at, r.status.is_(None)))


def count_by_key(tx: Connection) -> dict[str, int]:
    """Count by key id the requests whose fingerprint or saved response needs it."""
    return counts_by_key(tx, r.fingerprint, r.sealed)


def under_other_keys(tx: Connection, key_id: str, after: int, limit: int) -> list[tuple[int, str]]:
    """Return (id, sealed) of saved responses that another key sealed, by id."""
    statement = (
        sa.select(r.id, r.sealed)
        .where(r.id > after, r.sealed.is_not(None), ~r.sealed.startswith(f"{key_id}:", autoescape=True))
        .order_by(r.id)
        .limit(limit)
    )
    return [(row.id, row.sealed) for row in tx.execute(statement)]


def rewrite(tx: Connection, request_id: int, was: str, sealed: str) -> bool:
    """Move a saved response to another key; False if it has changed since it was read."""
    statement = sa.update(requests).where(r.id == request_id, r.sealed == was)
    return tx.execute(statement.values(sealed=sealed)).rowcount == 1
