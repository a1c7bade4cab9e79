"""Several processes on one SQLite file write in turn; a lock that somebody else holds is not waited for for long."""

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.errors import Unavailable
from otp_service.storage import turns
from otp_service.storage.engine import Database
from otp_service.storage.tables import clients
from otp_service.storage.turns import Turns

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
            assert time.monotonic() - begun < 2 * turns.WAIT_SECONDS + NOISE_SECONDS
        await database.write(touch)
    finally:
        database.close()


def test_a_turn_belongs_to_one_and_comes_back(migrated: str) -> None:
    path = migrated.removeprefix("sqlite:///")
    mine, theirs = Turns(path), Turns(path)
    with mine.mine(), pytest.raises(Unavailable), theirs.mine():
        pass
    with theirs.mine():
        pass
    mine.close()
    theirs.close()


def test_a_folder_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable), Turns("/no/such/folder/otp.db").mine():
        pass
