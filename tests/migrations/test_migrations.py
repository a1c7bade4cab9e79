"""The schema: up, down, the same as the tables in the code, safe from several replicas at once; on both databases."""

import re
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ProgrammingError

from otp_service.database import migrate
from otp_service.database.engine import make_engine
from otp_service.database.sqlite_lock import WAIT_SECONDS
from otp_service.errors import Unavailable
from otp_service.storage import schema
from otp_service.storage.tables import metadata
from tests.support.patience import PATIENCE
from tests.support.postgres import Server

ROOT = Path(__file__).parent.parent.parent
postgresql_is_long = pytest.mark.parametrize(
    "empty_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Server = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    """Connections to it."""
    made = make_engine(empty_url)
    yield made
    made.dispose()


def revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def tables(engine: Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names()) - {"alembic_version"}


def written(tx: Connection) -> dict[str, Any]:
    """The schema in the database's own words, so that predicates and AUTOINCREMENT are seen as well."""
    if tx.dialect.name == "sqlite":
        rows = tx.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")
        return {name: sorted(_parts(text)) for name, text in rows if name != "alembic_version"}
    indexes = tx.exec_driver_sql("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    constraints = tx.exec_driver_sql(
        "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace"
    )
    columns = tx.exec_driver_sql(
        "SELECT table_name || '.' || column_name, data_type || is_nullable || coalesce(column_default, '')"
        " FROM information_schema.columns WHERE table_schema = 'public'"
    )
    options = tx.exec_driver_sql(
        "SELECT relname || ' options', reloptions::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    found = {name: text for rows in (indexes, constraints, columns, options) for name, text in rows}
    return {name: text for name, text in found.items() if "alembic_version" not in name}


def _parts(sql: str) -> list[str]:
    """Columns and constraints of a CREATE TABLE: neither their order nor an ALTER TABLE's white space matters."""
    return [
        part.strip() for part in re.split(r",(?![^()]*\))", re.sub(r"\s+", " ", sql.partition("(")[2]).rstrip(" )"))
    ]


@postgresql_is_long
def test_the_schema_goes_up_down_and_up_again(empty_url: str, engine: Engine) -> None:
    for _ in range(2):
        migrate.upgrade(empty_url)
        assert tables(engine) == set(metadata.tables)
        migrate.downgrade(empty_url, "base")
        assert tables(engine) == set()
    with engine.connect() as tx:
        assert schema.revision(tx) is None


@pytest.mark.long
def test_every_step_goes_down_and_up(empty_url: str, engine: Engine) -> None:
    for revision in revisions():
        migrate.upgrade(empty_url, revision)
        migrate.downgrade(empty_url, "-1")
        migrate.upgrade(empty_url, revision)
        with engine.connect() as tx:
            assert schema.revision(tx) == revision


def test_the_migrations_make_the_tables_of_the_code(empty_url: str, engine: Engine) -> None:
    migrate.upgrade(empty_url)
    with engine.connect() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_write_the_same_schema_as_the_code(empty_url: str, engine: Engine) -> None:
    migrate.upgrade(empty_url)
    with engine.connect() as tx:
        migrated = written(tx)
    migrate.downgrade(empty_url, "base")
    metadata.create_all(engine)
    with engine.connect() as tx:
        assert written(tx) == migrated
    assert "uq_verifications_slot" in migrated


@postgresql_is_long
def test_migrating_again_changes_nothing(empty_url: str, engine: Engine) -> None:
    migrate.upgrade(empty_url)
    with engine.begin() as tx:
        tx.execute(sa.insert(metadata.tables["clients"]).values(id="c", name="n", created_at=0))
    migrate.upgrade(empty_url)
    with engine.connect() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(metadata.tables["clients"])) == 1


def test_several_replicas_may_migrate_at_once(empty_url: str, engine: Engine) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate.upgrade, [empty_url] * 4))
    with engine.connect() as tx:
        assert tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == [schema.HEAD]


def test_a_migration_waits_for_its_turn_to_switch_a_new_file_to_wal(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as threads:
        other.execute("BEGIN EXCLUSIVE")
        migrating = threads.submit(migrate.upgrade, f"sqlite:///{path}")
        assert not wait([migrating], timeout=2 * WAIT_SECONDS).done, "the service would have given up by now"
        other.execute("ROLLBACK")
        migrating.result(PATIENCE)


def test_a_migration_that_breaks_leaves_nothing_behind(empty_url: str, engine: Engine) -> None:
    with engine.begin() as tx:
        tx.execute(sa.text("CREATE TABLE requests (id integer)"))
    with pytest.raises((Unavailable, ProgrammingError)):
        migrate.upgrade(empty_url)
    assert tables(engine) == {"requests"}
    with engine.connect() as tx:
        assert schema.revision(tx) is None


def test_the_code_needs_the_newest_revision() -> None:
    assert revisions()[-1] == schema.HEAD


def test_revisions_are_numbered_in_order_as_their_files_are() -> None:
    assert revisions() == [f"{number:04d}" for number in range(1, len(revisions()) + 1)]
    files = sorted(path.name for path in (migrate.scripts() / "versions").glob("*.py"))
    assert [name[:5] for name in files] == [f"{revision}_" for revision in revisions()]


@postgresql_is_long
def test_a_newer_schema_is_current_and_an_older_one_is_not(empty_url: str, engine: Engine) -> None:
    migrate.upgrade(empty_url)
    for found, current in (("9999", True), (schema.HEAD, True), ("0000", False)):
        with engine.begin() as tx:
            tx.execute(sa.text("UPDATE alembic_version SET version_num = :found"), {"found": found})
            assert schema.is_current(schema.revision(tx)) is current
    assert not schema.is_current(None)


@pytest.mark.long
def test_the_wheel_ships_the_migrations_and_finds_them(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("otp_service/migrations/")}
        archive.extractall(tmp_path / "installed")
    expected = {path.relative_to(ROOT) for path in (ROOT / "migrations").rglob("*.py")}
    assert {f"otp_service/{path.as_posix()}" for path in expected} <= shipped
    code = "import sys; from otp_service.database import migrate; migrate.upgrade(sys.argv[1])"
    url = f"sqlite:///{tmp_path / 'otp.db'}"
    subprocess.run([sys.executable, "-c", code, url], cwd=tmp_path / "installed", check=True)
    connection = sqlite3.connect(tmp_path / "otp.db")
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (schema.HEAD,)
    connection.close()


def test_a_migration_does_not_wait_for_ever_for_a_table_that_somebody_holds(
    empty_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_SQLITE_TURN_SECONDS", 0.1)
    migrate.upgrade(empty_url, "0001")
    with engine.begin() as other:
        other.execute(sa.text("UPDATE verifications SET status = status"))
        with pytest.raises(Unavailable, match=r"LockNotAvailable|SQLITE_BUSY"):
            migrate.upgrade(empty_url)
    migrate.upgrade(empty_url)
    with engine.connect() as connection:
        assert schema.is_current(schema.revision(connection))


@pytest.mark.long
@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_indexes_that_were_built_before_are_taken(empty_url: str, engine: Engine) -> None:
    migrate.upgrade(empty_url, "0002")
    documented = re.findall(r"CREATE INDEX CONCURRENTLY [^;]+", (ROOT / "docs" / "operations.md").read_text())
    assert documented
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in documented:
            connection.exec_driver_sql(statement)
    migrate.upgrade(empty_url)
    with engine.connect() as tx:
        migrated = written(tx)
    migrate.downgrade(empty_url, "base")
    metadata.create_all(engine)
    with engine.connect() as tx:
        assert written(tx) == migrated
