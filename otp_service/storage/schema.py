"""Which revision of the schema the code needs, and which one the database has."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

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


def is_read_only(tx: Connection) -> bool:
    """A PostgreSQL that follows another one, or is told to be. A SQLite file says so when a write begins."""
    return tx.dialect.name == "postgresql" and tx.scalar(sa.text("SHOW transaction_read_only")) == "on"
