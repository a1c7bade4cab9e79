"""SQLite's writer commits together what waits together, and what one work does wrong is its own affair."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database import sqlite_writer
from otp_service.database.engine import Database
from otp_service.errors import Unavailable
from otp_service.storage.tables import clients


def adding(name: str, size: int = 1) -> "sa.Insert":
    return sa.insert(clients).values(id=name, name=name * size, created_at=0.0)


def names(tx: Connection) -> set[str]:
    return set(tx.execute(sa.select(clients.c.id)).scalars())


@contextmanager
def database_of(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@contextmanager
def commits_of(database: Database) -> Iterator[list[int]]:
    """Counts them."""
    counted: list[int] = []
    sa.event.listen(database.engine, "commit", lambda _: counted.append(1))
    yield counted


async def test_what_waits_together_shares_a_commit(migrated: str) -> None:
    with database_of(migrated) as database, commits_of(database) as commits:
        await asyncio.gather(*(database.write(lambda tx, n=n: tx.execute(adding(f"c{n}"))) for n in range(200)))  # type: ignore[misc]
        assert len(await database.read(names)) == 200
        assert 200 / sqlite_writer.MOST_TOGETHER <= len(commits) < 100


async def test_an_exception_undoes_its_own_work_alone(migrated: str) -> None:
    def broken(tx: Connection) -> None:
        tx.execute(adding("broken"))
        raise LookupError("mine")

    with database_of(migrated) as database:
        works = [lambda tx: tx.execute(adding("a")), broken, lambda tx: tx.execute(adding("b"))]
        done = await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)
        assert [isinstance(each, LookupError) for each in done] == [False, True, False]
        assert await database.read(names) == {"a", "b"}


async def test_a_later_work_sees_what_an_earlier_one_of_the_same_round_did(migrated: str) -> None:
    with database_of(migrated) as database:
        first = database.write(lambda tx: tx.execute(adding("a")))
        _, seen = await asyncio.gather(first, database.write(names))
        assert seen == {"a"}


async def test_a_round_whose_disk_is_full_fails_as_a_whole_and_the_next_one_works(migrated: str) -> None:
    with database_of(migrated) as database:
        await database.write(lambda tx: tx.execute(adding("before")))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, hard))
        try:
            works = [database.write(lambda tx, n=n: tx.execute(adding(f"c{n}", 20_000))) for n in range(10)]  # type: ignore[misc]
            done = await asyncio.gather(*works, return_exceptions=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert {type(each) for each in done} == {Unavailable}
        await database.write(lambda tx: tx.execute(adding("after")))
        assert await database.read(names) == {"before", "after"}


async def test_who_hangs_up_before_the_answer_ends_nobody_else(migrated: str) -> None:
    with database_of(migrated) as database:
        hangs_up = asyncio.create_task(database.write(lambda tx: tx.execute(adding("a"))))
        await asyncio.sleep(0)
        hangs_up.cancel()
        await database.write(lambda tx: tx.execute(adding("b")))
        with pytest.raises(asyncio.CancelledError):
            await hangs_up
        assert "b" in await database.read(names)


async def test_closing_ends_what_waits_first(migrated: str) -> None:
    database = Database(migrated)
    waiting = [asyncio.create_task(database.write(lambda tx, n=n: tx.execute(adding(f"c{n}")))) for n in range(10)]  # type: ignore[misc]
    await asyncio.sleep(0)
    database.close()
    await asyncio.gather(*waiting)
    with database_of(migrated) as again:
        assert len(await again.read(names)) == 10
