"""Migrates the schema to a revision with alembic; safe from several replicas at once."""

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection

from otp_service.database.engine import make_engine, parse_url, translating

_LOCK = 7_032_051_844_263
"""The advisory lock that lets one replica migrate at a time; any fixed number works."""

_LOCK_SECONDS = 3
"""If another session holds a table for longer, nothing is changed, and the command can be repeated."""

_SQLITE_TURN_SECONDS = 60.0
"""How long one replica waits while another migrates the file; that takes seconds on a busy machine."""


def scripts() -> Path:
    """Return the folder of the migrations: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Run the migrations up to `revision` in one transaction. Other replicas wait, and find nothing to do."""
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Undo the migrations after `revision`."""
    _run(url, lambda config: command.downgrade(config, revision))


def make_config(connection: Connection) -> Config:
    """Return Alembic's configuration for `migrations/env.py`, which runs on the connection."""
    config = Config()
    config.set_main_option("script_location", str(scripts()))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _make_private_file(url: str) -> None:
    # SQLite's other files take the mode of this one: no other user of the machine may read them.
    path = parse_url(url).database
    if url.startswith("sqlite:") and path is not None:
        Path(path).touch(mode=0o600)


def _run(url: str, step: Callable[[Config], None]) -> None:
    _make_private_file(url)
    engine = make_engine(url, sqlite_lock_seconds=_SQLITE_TURN_SECONDS)
    try:
        # SQLite: BEGIN IMMEDIATE keeps the others out. PostgreSQL: the lock goes with the transaction.
        with translating(), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                # While a change of a table waits for its lock, all other sessions queue behind it.
                connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
            step(make_config(connection))
    finally:
        engine.dispose()
