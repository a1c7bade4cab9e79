"""Calls that PostgreSQL does not answer are given up; a call that only takes its time is not."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database import watchdog
from otp_service.database.engine import Database, make_engine
from otp_service.database.postgres import STATEMENT_SECONDS
from otp_service.database.threads import Job
from otp_service.database.watchdog import Watchdog
from otp_service.errors import Unavailable
from tests.support import postgres

AT_LAST_SECONDS = 60
"""A call that nothing gives up would hang forever."""


@pytest.fixture
def patient_watchdog() -> None:
    """Here the limits are those of the service."""


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


def db_threads() -> set[int | None]:
    return {thread.ident for thread in threading.enumerate() if thread.name == "db-read"}


async def test_a_frozen_server_is_given_up_and_heals_with_the_same_threads(cluster: postgres.Cluster) -> None:
    database = Database(cluster.create_database())
    try:
        assert await asyncio.gather(*(database.read(ask) for _ in range(20))) == [7] * 20
        before = db_threads()
        signal_all(cluster, signal.SIGSTOP)
        try:
            async with asyncio.timeout(AT_LAST_SECONDS):
                for _ in range(2):
                    asked = [database.read(ask), database.write(ask), database.write(ask, one_statement=True)] * 50
                    answers = await asyncio.gather(*asked, return_exceptions=True)
                    assert [type(answer) for answer in answers] == [Unavailable] * 150
        finally:
            signal_all(cluster, signal.SIGCONT)
        async with asyncio.timeout(AT_LAST_SECONDS):
            while not await answers_again(database):
                pass
            assert await asyncio.gather(*(database.write(ask) for _ in range(20))) == [7] * 20
        assert db_threads() == before
    finally:
        database.close()


async def answers_again(database: Database) -> bool:
    await asyncio.sleep(0.01)
    try:
        return await database.read(ask) == 7
    except Unavailable:
        return False


@pytest.mark.long
async def test_dead_connections_are_replaced_although_the_server_answers_others(cluster: postgres.Cluster) -> None:
    database = Database(cluster.create_database())
    mine = sa.text("SELECT pg_backend_pid() FROM pg_sleep(0.05)")
    try:
        pids = set(await asyncio.gather(*(database.read(lambda tx: tx.scalar(mine)) for _ in range(20))))
        for pid in pids:
            os.kill(int(pid), signal.SIGSTOP)
        try:
            async with asyncio.timeout(AT_LAST_SECONDS):
                asked = await asyncio.gather(*(database.read(ask) for _ in range(30)), return_exceptions=True)
                assert {type(answer) for answer in asked} <= {Unavailable, int}
                while not await answers_again(database):
                    pass
                assert await asyncio.gather(*(database.read(ask) for _ in range(20))) == [7] * 20
        finally:
            for pid in pids:
                os.kill(int(pid), signal.SIGCONT)
    finally:
        database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_work_of_a_refused_caller_is_undone(database_url: str) -> None:
    database, add = Database(database_url), sa.text("INSERT INTO clients (id, name, created_at) VALUES ('c', 'c', 0)")

    def work(tx: Connection) -> None:
        tx.execute(add)
        tx.execute(sa.text("LOCK TABLE keyring"))

    try:
        with psycopg.connect(database_url) as other:
            other.execute("LOCK TABLE keyring")
            with pytest.raises(Unavailable):
                await database.write(work)
        assert await database.read(lambda tx: tx.scalar(sa.text("SELECT count(*) FROM clients"))) == 0
    finally:
        database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_call_that_waits_for_a_lock_is_not_given_up_while_others_are_answered(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "SILENCE_SECONDS", 2.0)
    monkeypatch.setattr(watchdog, "LONGEST_SECONDS", AT_LAST_SECONDS)
    database = Database(database_url)
    try:
        with psycopg.connect(database_url) as other:
            other.execute("LOCK TABLE clients")
            waiting = asyncio.create_task(database.read(lambda tx: tx.scalar(sa.text("SELECT count(*) FROM clients"))))
            for _ in range(40):
                await asyncio.wait({waiting}, timeout=0.1)
                assert await database.read(ask) == 7
            assert not waiting.done()
        assert await waiting == 0
    finally:
        database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_server_itself_ends_what_takes_too_long_but_no_migration(database_url: str) -> None:
    database, engine = Database(database_url), make_engine(database_url)
    show = sa.text("SHOW statement_timeout")
    try:
        assert await database.read(lambda tx: tx.scalar(show)) == f"{STATEMENT_SECONDS}s"
        with engine.connect() as connection:
            assert connection.scalar(show) == "0"
    finally:
        database.close()
        engine.dispose()


class FakeTime:
    """The time of the watchdog, which the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """Time stands still, and no timer is late."""
    fake = FakeTime()
    monkeypatch.setattr(watchdog, "time", fake)
    monkeypatch.setattr(watchdog, "LATE_SECONDS", 3600)
    return fake


def tracked(dog: Watchdog) -> Job:
    job = Job(lambda: 7)
    dog.track(job)
    return job


@pytest.mark.parametrize(("patient", "seconds"), [(False, watchdog.SILENCE_SECONDS), (True, watchdog.PATIENT_SECONDS)])
async def test_a_call_is_given_up_after_silence_and_a_commands_later(
    clock: FakeTime, patient: bool, seconds: float
) -> None:
    dog = Watchdog(sa.create_engine("sqlite://"), patient=patient)
    job = tracked(dog)
    clock.now += seconds - 0.01
    dog._check(clock.now)
    assert not job.is_given_up
    clock.now += 0.02
    dog._check(clock.now)
    with pytest.raises(Unavailable):
        await job.future
    job.run()
    assert job.result is None, "nothing is done for a caller that was refused"


async def test_while_others_are_answered_a_call_has_longer(clock: FakeTime) -> None:
    dog = Watchdog(sa.create_engine("sqlite://"))
    job, began = tracked(dog), clock.now
    while clock.now < began + watchdog.LONGEST_SECONDS - 0.5:
        clock.now += 0.5
        other = tracked(dog)
        other.run()
        assert await other.future == 7
        dog._check(clock.now)
        assert not job.is_given_up
    clock.now = began + watchdog.LONGEST_SECONDS
    dog._check(clock.now)
    assert job.is_given_up


async def test_a_process_that_stood_still_reads_the_answers_first(
    clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LATE_SECONDS", 0.1)
    dog = Watchdog(sa.create_engine("sqlite://"))
    job = tracked(dog)
    due = clock.now + watchdog.SILENCE_SECONDS
    clock.now += 20
    dog._check(due)
    assert not job.is_given_up
    job.run()
    assert await job.future == 7


async def test_only_a_connection_that_the_job_still_has_is_shut_down(
    clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut: list[object] = []
    monkeypatch.setattr("otp_service.database.postgres.shut_down", shut.append)
    engine = sa.create_engine("sqlite://", poolclass=sa.QueuePool)
    dog, ours = Watchdog(engine), list[Connection]()
    gave_back, lost = Job(lambda: engine.connect().close()), Job(lambda: engine.connect().invalidate())
    has_one = Job(lambda: ours.append(engine.connect()))
    for job in (gave_back, lost, has_one):
        dog.track(job)
        job.run()
    clock.now += watchdog.LONGEST_SECONDS
    dog._check(clock.now)
    assert [job.is_given_up for job in (gave_back, lost, has_one)] == [True] * 3
    assert shut == [ours[0].connection.dbapi_connection]
    ours[0].close()
    engine.dispose()


async def test_the_watchdog_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "SILENCE_SECONDS", 0.05)
    job = tracked(Watchdog(sa.create_engine("sqlite://")))
    async with asyncio.timeout(AT_LAST_SECONDS):
        with pytest.raises(Unavailable):
            await job.future
