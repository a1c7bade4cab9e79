"""Several processes on one SQLite file write in turn; a lock that somebody else holds is not waited for for long."""

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database import sqlite_lock
from otp_service.database.engine import Database
from otp_service.database.sqlite_lock import WriteLock
from otp_service.errors import Unavailable
from otp_service.storage.tables import clients

NOISE_SECONDS = 2.0


def touch(tx: Connection) -> None:
    tx.execute(sa.update(clients).values(created_at=clients.c.created_at + 1))


async def test_who_never_stops_writing_lets_the_others_in(migrated: str) -> None:
    busy, other = Database(migrated), Database(migrated)
    over = asyncio.Event()

    async def write_on() -> int:
        count = 0
        while not over.is_set():
            await busy.write(touch)
            count += 1
        return count

    try:
        writers = [asyncio.create_task(write_on()) for _ in range(4)]
        for _ in range(30):
            await other.write(touch)  # raises Unavailable where its turn does not come
        over.set()
        assert min(await asyncio.gather(*writers)) > 0
    finally:
        busy.close()
        other.close()


async def test_a_lock_that_somebody_holds_is_unavailable_for_all_who_wait(migrated: str) -> None:
    database = Database(migrated)
    try:
        with closing(sqlite3.connect(migrated.removeprefix("sqlite:///"), isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            done = await asyncio.gather(*(database.write(touch) for _ in range(30)), return_exceptions=True)
            assert [str(each) for each in done if isinstance(each, Unavailable)] == ["SQLITE_BUSY"] * 30
            assert time.monotonic() - begun < 2 * sqlite_lock.WAIT_SECONDS + NOISE_SECONDS
        await database.write(touch)
    finally:
        database.close()


def test_a_turn_belongs_to_one_and_comes_back(migrated: str) -> None:
    path = migrated.removeprefix("sqlite:///")
    mine, theirs = WriteLock(path), WriteLock(path)
    with mine.held(), pytest.raises(Unavailable), theirs.held():
        pass
    with theirs.held():
        pass
    mine.close()
    theirs.close()


def test_a_folder_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable), WriteLock("/no/such/folder/otp.db").held():
        pass


def test_the_file_belongs_to_whom_the_database_does(tmp_path: Path) -> None:
    database = tmp_path / "otp.db"
    database.touch(mode=0o660)
    database.chmod(0o660)
    if os.geteuid() == 0:
        os.chown(database, 12345, 12345)
    taken = WriteLock(str(database))
    with taken.held():
        made, its = Path(f"{database}-turn").stat(), database.stat()
    taken.close()
    assert (made.st_mode & 0o777, made.st_uid, made.st_gid) == (0o660, its.st_uid, its.st_gid)


async def test_two_processes_wait_for_a_foreign_lock_no_longer_than_one(migrated: str) -> None:
    databases = [Database(migrated) for _ in range(3)]
    try:
        with closing(sqlite3.connect(migrated.removeprefix("sqlite:///"), isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            done = await asyncio.gather(*(each.write(touch) for each in databases), return_exceptions=True)
            assert [type(each) for each in done] == [Unavailable] * 3
            assert time.monotonic() - begun < sqlite_lock.WAIT_SECONDS * 1.4 + NOISE_SECONDS / 4
        for each in databases:
            await each.write(touch)
    finally:
        for each in databases:
            each.close()
