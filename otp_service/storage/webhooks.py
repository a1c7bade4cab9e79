"""The table `webhooks`: where a client wants which events."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, counts_by_key
from otp_service.storage.tables import clients, webhooks

ACTIVE, DISABLED, DELETED = "active", "disabled", "deleted"
w = webhooks.c
COLUMNS = (w.id, w.client_id, w.url, w.events, w.status, w.created_at, w.failing_since)
SECRETS = (w.secret_sealed, w.former_secret_sealed, w.former_until)
_exists = w.status != DELETED


def lock_client(tx: Connection, client_id: str) -> None:
    """Lock the row of a client: of two webhooks that it adds at once, one is counted first."""
    tx.execute(sa.select(clients.c.id).where(clients.c.id == client_id).with_for_update())


def count(tx: Connection, client_id: str) -> int:
    """Return how many webhooks a client has."""
    statement = sa.select(sa.func.count()).select_from(webhooks).where(w.client_id == client_id, _exists)
    return tx.execute(statement).scalar_one()


def insert(tx: Connection, row: Mapping[str, Any]) -> None:
    """Add a webhook."""
    tx.execute(sa.insert(webhooks).values(**row))


def of_client(tx: Connection, client_id: str) -> Sequence[AnyRow]:
    """Return the webhooks of a client, oldest first."""
    statement = sa.select(*COLUMNS).where(w.client_id == client_id, _exists)
    return tx.execute(statement.order_by(w.created_at, w.id)).all()


def list_all(tx: Connection) -> Sequence[AnyRow]:
    """Return all webhooks with the `name` of their client and when it was revoked, by client and age."""
    statement = (
        sa.select(*COLUMNS, clients.c.name, clients.c.revoked_at)
        .join(clients, clients.c.id == w.client_id)
        .where(_exists)
    )
    return tx.execute(statement.order_by(clients.c.name, w.created_at, w.id)).all()


def read(tx: Connection, webhook_id: str, client_id: str | None = None) -> AnyRow | None:
    """Return a webhook with its `SECRETS`; None if it is deleted, or not this client's."""
    statement = sa.select(*COLUMNS, *SECRETS).where(w.id == webhook_id, _exists)
    return tx.execute(statement if client_id is None else statement.where(w.client_id == client_id)).first()


def delete(tx: Connection, webhook_id: str) -> None:
    """Delete a webhook. Its row stays: an event that is being recorded may still refer to it."""
    wiped = {"status": DELETED, "url": "", "secret_sealed": None, "former_secret_sealed": None, "former_until": None}
    tx.execute(sa.update(webhooks).where(w.id == webhook_id).values(wiped))


def replace_secret(tx: Connection, webhook_id: str, sealed: str, *, former_until: float) -> None:
    """Give a webhook another secret; the present one signs too until `former_until`."""
    changes = {"secret_sealed": sealed, "former_secret_sealed": w.secret_sealed, "former_until": former_until}
    tx.execute(sa.update(webhooks).where(w.id == webhook_id, _exists).values(changes))


def enable(tx: Connection, webhook_id: str) -> bool:
    """Enable a disabled webhook; return False if it was not disabled."""
    statement = sa.update(webhooks).where(w.id == webhook_id, w.status == DISABLED)
    return tx.execute(statement.values(status=ACTIVE, failing_since=None)).rowcount == 1


def record_success(tx: Connection, webhook_id: str) -> None:
    """Record that the receiver took an event."""
    statement = sa.update(webhooks).where(w.id == webhook_id, w.failing_since.is_not(None))
    tx.execute(statement.values(failing_since=None))


def record_failure(tx: Connection, webhook_id: str, now: float) -> None:
    """Record that the receiver took no event since now, unless it has failed before."""
    statement = sa.update(webhooks).where(w.id == webhook_id, w.failing_since.is_(None))
    tx.execute(statement.values(failing_since=now))


def disable(tx: Connection, webhook_id: str, *, failing_since: float | None = None) -> bool:
    """Disable an active webhook; return False if nothing changed. `failing_since`: only if it has failed since then."""
    statement = sa.update(webhooks).where(w.id == webhook_id, w.status == ACTIVE)
    if failing_since is not None:
        statement = statement.where(w.failing_since <= failing_since)
    return tx.execute(statement.values(status=DISABLED)).rowcount == 1


def count_by_key(tx: Connection) -> dict[str, int]:
    """Count by key id the webhooks whose secrets need it."""
    return counts_by_key(tx, w.secret_sealed, w.former_secret_sealed)


def under_other_keys(tx: Connection, key_id: str, after: str, limit: int) -> Sequence[AnyRow]:
    """Return webhooks with a secret that another key sealed, by id: the id and `SECRETS`."""
    mine = f"{key_id}:"
    others = [~column.startswith(mine, autoescape=True) for column in (w.secret_sealed, w.former_secret_sealed)]
    statement = sa.select(w.id, *SECRETS).where(w.id > after, _exists, sa.or_(*others))
    return tx.execute(statement.order_by(w.id).limit(limit)).all()


def rewrite(tx: Connection, row: AnyRow, sealed: str, former_sealed: str | None) -> bool:
    """Move the secrets of a webhook to another key; return False if they have changed since they were read."""
    statement = sa.update(webhooks).where(w.id == row.id, w.secret_sealed == row.secret_sealed)
    return tx.execute(statement.values(secret_sealed=sealed, former_secret_sealed=former_sealed)).rowcount == 1
