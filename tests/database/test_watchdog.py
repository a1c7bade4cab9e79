"""A PostgreSQL that says nothing is given up within a second; one that only takes its time is not."""

import asyncio
import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database import connections, watchdog
from otp_service.database.engine import Database
from otp_service.database.postgres import STATEMENT_SECONDS
from otp_service.database.watchdog import Watch
from otp_service.errors import Unavailable
from otp_service.threads import Job
from tests.support import postgres

NOISE_SECONDS = 1.0
"""How late a loaded machine may be."""


@pytest.fixture
def cluster() -> Iterator[postgres.Cluster]:
    """A server that may be frozen."""
    own = postgres.Cluster(postgres.find_binaries())
    yield own
    own.stop()


def signal_all(cluster: postgres.Cluster, number: signal.Signals) -> None:
    """To the server and each of its processes."""
    pid = cluster.pid
    assert pid is not None
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in (pid, *map(int, children)):
        os.kill(each, number)


def ask(tx: Connection) -> int:
    return int(tx.scalar(sa.text("SELECT 7")) or 0)


async def test_a_frozen_server_is_given_up_within_a_second_and_heals(cluster: postgres.Cluster) -> None:
    database = Database(cluster.create_database())
    try:
        assert await asyncio.gather(*(database.read(ask) for _ in range(20))) == [7] * 20
        signal_all(cluster, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            asked = [database.read(ask), database.write(ask), database.write(ask, one_statement=True)] * 10
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(answer) for answer in answers] == [Unavailable] * 30
            usual = watchdog.USUAL_SECONDS + watchdog.ANSWER_WITHIN_SECONDS
            assert time.monotonic() - begun < usual + NOISE_SECONDS
            begun = time.monotonic()
            with pytest.raises(Unavailable):
                await database.read(ask)
            assert time.monotonic() - begun < watchdog.USUAL_SECONDS + NOISE_SECONDS / 2, "that is known now"
        finally:
            signal_all(cluster, signal.SIGCONT)
        async with asyncio.timeout(30):
            while not await answers_again(database):
                pass
        assert await asyncio.gather(*(database.write(ask) for _ in range(20))) == [7] * 20
    finally:
        database.close()


async def answers_again(database: Database) -> bool:
    await asyncio.sleep(0.01)
    try:
        return await database.read(ask) == 7
    except Unavailable:
        return False


async def test_connections_that_are_dead_are_replaced_although_the_server_answers(cluster: postgres.Cluster) -> None:
    database = Database(cluster.create_database())
    mine = sa.text("SELECT pg_backend_pid() FROM pg_sleep(0.05)")
    try:
        pids = set(await asyncio.gather(*(database.read(lambda tx: tx.scalar(mine)) for _ in range(20))))
        for pid in pids:
            os.kill(int(pid), signal.SIGSTOP)
        try:
            begun = time.monotonic()
            asked = await asyncio.gather(*(database.read(ask) for _ in range(30)), return_exceptions=True)
            assert time.monotonic() - begun < watchdog.LONGEST_SECONDS + 2 * NOISE_SECONDS
            assert {type(answer) for answer in asked} <= {Unavailable, int}
            assert await asyncio.gather(*(database.read(ask) for _ in range(20))) == [7] * 20
        finally:
            for pid in pids:
                os.kill(int(pid), signal.SIGCONT)
    finally:
        database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_call_that_waits_for_a_lock_is_not_given_up(database_url: str) -> None:
    database = Database(database_url)
    try:
        with psycopg.connect(database_url) as other:
            other.execute("LOCK TABLE clients")
            waiting = asyncio.create_task(database.read(lambda tx: tx.scalar(sa.text("SELECT count(*) FROM clients"))))
            await asyncio.wait({waiting}, timeout=2 * (watchdog.USUAL_SECONDS + watchdog.ANSWER_WITHIN_SECONDS))
            assert not waiting.done()
        assert await waiting == 0
    finally:
        database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_server_itself_ends_what_takes_too_long_but_no_migration(database_url: str) -> None:
    database, engine = Database(database_url), connections.make_engine(database_url)
    show = sa.text("SHOW statement_timeout")
    try:
        assert await database.read(lambda tx: tx.scalar(show)) == f"{STATEMENT_SECONDS}s"
        with engine.connect() as connection:
            assert connection.scalar(show) == "0"
    finally:
        database.close()
        engine.dispose()


async def test_only_what_takes_longer_than_usual_makes_it_ask() -> None:
    pings: list[int] = []

    def answer() -> bool:
        pings.append(1)
        return True

    looks = Watch(answer, lambda: None)
    quick, slow = Job.of(lambda: 1), Job.of(lambda: 2)
    looks.over(quick)
    quick.run()
    await quick.waiting
    looks.over(slow)
    async with asyncio.timeout(10):
        while not await asked(pings):
            assert not slow.waiting.done()
    slow.run()
    assert await slow.waiting == 2


async def asked(pings: list[int]) -> bool:
    await asyncio.sleep(0.01)
    return bool(pings)


async def test_where_others_are_answered_nobody_is_given_up() -> None:
    never, given_up = threading.Event(), []

    def hang() -> bool:
        return never.wait(20)

    looks = Watch(hang, lambda: given_up.append(1))
    slow = Job.of(lambda: 2)
    looks.over(slow)
    until = time.monotonic() + 3 * (watchdog.USUAL_SECONDS + watchdog.ANSWER_WITHIN_SECONDS)
    while time.monotonic() < until:
        other = Job.of(lambda: 1)
        looks.over(other)
        other.run()
        assert await other.waiting == 1
        await asyncio.sleep(0.01)
    assert not given_up
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable):
            await slow.waiting
    never.set()
    assert given_up == [1], "now that nobody is"


async def test_a_question_that_cannot_be_asked_says_nothing_about_the_server() -> None:
    answers: list[bool | OSError] = [OSError(errno.EMFILE, ""), True, OSError(errno.EMFILE, "")]
    given_up: list[int] = []

    def ask_or_fail() -> bool:
        found = answers.pop(0) if answers else False
        if isinstance(found, OSError):
            raise found
        return found

    looks = Watch(ask_or_fail, lambda: given_up.append(1))
    slow = Job.of(lambda: 2)
    looks.over(slow)
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable):
            await slow.waiting
    assert not answers, "it went on asking"
    assert given_up == [1]
