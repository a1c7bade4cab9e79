"""Whether the service is ready is asked of the database by a write that it commits."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from otp_service.database.engine import Database
from otp_service.services.operations import health
from tests.support.processes import wait_for

READY = {"database": "ok", "schema": "ok"}
UNREADY = {"database": "unavailable", "schema": "unknown"}


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """What a full disk does, to this process alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def size_of_log(database_url: str) -> int:
    """That of SQLite's write-ahead log, which every commit makes longer."""
    return Path(f"{database_url.removeprefix('sqlite:///')}-wal").stat().st_size


@pytest.mark.parametrize("keys", [0, 1])
async def test_a_full_disk_is_not_ready_until_it_has_room_again(migrated: str, keys: int) -> None:
    database = Database(migrated)
    if keys:
        await database.write(lambda tx: tx.execute(sa.text("INSERT INTO keyring VALUES (1, 'k1')")))
    assert await health.database_and_schema(database) == READY
    with no_file_grows_beyond(size_of_log(migrated)):
        assert await health.database_and_schema(database) == UNREADY
    assert await health.database_and_schema(database) == READY
    assert await database.read(lambda tx: tx.scalar(sa.text("SELECT count(*) FROM keyring"))) == keys
    database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_postgresql_commits_a_change_each_time(database_url: str) -> None:
    database = Database(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:

        def changes() -> int:
            row = connection.execute("SELECT pg_stat_get_tuples_inserted('keyring'::regclass)").fetchone()
            assert row
            return int(row[0])

        before = changes()
        assert await health.database_and_schema(database) == READY
        database.close()
        wait_for(lambda: changes() > before)  # the server counts it a moment after the connection has ended
