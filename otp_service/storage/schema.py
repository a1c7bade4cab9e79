"""Which revision of the schema the code needs, and which one the database has."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.tables import keyring

HEAD = "0013"
"""The newest migration; revisions are numbered, so that older and newer can be told apart."""
_NOBODYS_ID = 0


def revision(tx: Connection) -> str | None:
    """Return the database's revision, None if no migration has run."""
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    found: str | None = tx.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def is_current(found: str | None) -> bool:
    """Return whether the schema is new enough. A newer one is: migrations leave the previous release working."""
    return found is not None and found >= HEAD


def require_writable(tx: Connection) -> None:
    """Insert and delete a row.

    It fails, at the latest at the commit, if the disk is full or the database is read-only, as after a failover.
    """
    # An update of a row to what it is already writes no page on SQLite, and waits for whoever holds the row.
    tx.execute(sa.insert(keyring).values(id=_NOBODYS_ID, index_key=""))
    tx.execute(sa.delete(keyring).where(keyring.c.id == _NOBODYS_ID))
