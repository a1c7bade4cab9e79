"""Which revision of the schema the code needs, and which one the database has."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.tables import keyring

HEAD = "0001"
"""The newest migration; revisions are numbered, so that older and newer can be told apart."""


def revision(tx: Connection) -> str | None:
    """The database's revision; None where no migration has run."""
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    found: str | None = tx.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def is_current(found: str | None) -> bool:
    """A newer schema is fine: every migration leaves the previous release working."""
    return found is not None and found >= HEAD


def require_writable(tx: Connection) -> None:
    """An insert of nothing: fails where the database is read-only, as after a failover."""
    nothing = sa.select(keyring.c.id, keyring.c.index_key).where(sa.false())
    tx.execute(sa.insert(keyring).from_select(["id", "index_key"], nothing))
