"""Options and fixtures of the whole suite: a gateway, a database, the service."""

import gc
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from otp_service.database import migrate
from otp_service.observability import logs
from tests.support.fixtures import postgres_server, stopped_clock
from tests.support.hangs import end_process_after
from tests.support.patience import PATIENCE
from tests.support.postgres import Emptier, Server
from tests.support.service import Service, serving
from tests.support.vendor import Vendor, running_vendor

__all__ = ["postgres_server", "stopped_clock"]


# Without a deadline, because an example may take long on a busy machine.
hypothesis.settings.register_profile("all", deadline=None)
hypothesis.settings.register_profile("few", deadline=None, max_examples=10)

RUN_SECONDS = 1800.0
RUN_SECONDS_OF_ALL = 4500.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for the long tests and for repeating a run."""
    parser.addoption("--all", action="store_true", help="run the long tests too, and tests/faults in their long form")
    parser.addoption("--fault-seed", type=int, help="seed of the random choices in tests/faults")


def pytest_configure(config: pytest.Config) -> None:
    """Choose one seed for all processes and how much hypothesis tries, and end a run that hangs."""
    hypothesis.settings.load_profile("all" if config.option.all else "few")
    # The workers of xdist inherit the environment.
    if config.option.fault_seed is None:
        config.option.fault_seed = int(os.environ.setdefault("FAULT_SEED", str(secrets.randbelow(10**6))))
    if "PYTEST_XDIST_WORKER" not in os.environ:
        end_process_after(RUN_SECONDS_OF_ALL if config.option.all else RUN_SECONDS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out, unless all are asked for."""
    if config.option.all:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_collection_finish() -> None:
    """Spare every later collection of garbage the modules and tests, which live as long as the run."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on SQLite, and on PostgreSQL too if SQL is its point or all tests are asked for."""
    given = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "database_url" in metafunc.fixturenames and "database_url" not in given:
        about_sql = metafunc.definition.get_closest_marker("both_databases")
        postgresql = pytest.param("postgresql", marks=[] if about_sql else pytest.mark.long)
        metafunc.parametrize("database_url", ["sqlite", postgresql], indirect=True)


def pytest_report_header(config: pytest.Config) -> str:
    """Show the seed with which a failure can be repeated."""
    return f"faults: --fault-seed {config.option.fault_seed}"


@pytest.fixture(scope="session", autouse=True)
def quiet_logs() -> None:
    """A failing test shows its own words, not a line per request."""
    logs.configure("error", "json")


@pytest.fixture(scope="session", autouse=True)
def hangups() -> None:
    """A process that a test starts notices SIGHUP, also if the tests run under nohup."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # The process would inherit that, but not a handler.
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.fixture(autouse=True)
def patient_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the process of a test, PostgreSQL may take its time: on a busy machine a healthy one does."""
    for limit in ("SILENCE_SECONDS", "LONGEST_SECONDS"):
        monkeypatch.setattr(f"otp_service.database.watchdog.{limit}", PATIENCE)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of every asynchronous test."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared_vendor() -> Iterator[Vendor]:
    """One simulated gateway for the session."""
    with running_vendor() as vendor:
        yield vendor


@pytest.fixture
def vendor(shared_vendor: Vendor) -> Iterator[Vendor]:
    """The simulated gateway, without the faults and the texts from people of another test."""
    yield shared_vendor
    shared_vendor.reset()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file to copy."""
    path = tmp_path_factory.mktemp("migrated") / "otp.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: Server) -> str:
    """The name of a PostgreSQL database to copy."""
    url = postgres_server.create_database()
    migrate.upgrade(url)
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: Server, migrated_postgres: str) -> Iterator[tuple[str, Emptier]]:
    """The database of `emptied_postgres`, and what empties it."""
    url = postgres_server.create_database(template=migrated_postgres)
    emptier = Emptier(url)
    yield url, emptier
    emptier.close()


@pytest.fixture
def emptied_postgres(shared_postgres: tuple[str, Emptier]) -> str:
    """A migrated PostgreSQL database without rows and other connections: much cheaper than a new one."""
    url, emptier = shared_postgres
    emptier.empty()
    return url


@pytest.fixture
def new_postgres(postgres_server: Server, migrated_postgres: str) -> Iterator[str]:
    """A migrated PostgreSQL database in which there never was a row."""
    url = postgres_server.create_database(template=migrated_postgres)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database for this test alone, without rows."""
    url: str = request.getfixturevalue("migrated" if request.param == "sqlite" else "emptied_postgres")
    return url


@pytest.fixture
def migrated(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database, for what does not depend on the database."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'otp.db')}"


@pytest.fixture
async def service(database_url: str, vendor: Vendor) -> AsyncIterator[Service]:
    """The service with the shipped policy."""
    async with serving(database_url, vendor) as running:
        yield running
