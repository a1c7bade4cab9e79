"""What chooses at random, and how long the tests take: docs/faults.md."""

import random
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from otp_service.services import idempotency, outbox, retention
from otp_service.simulator import create_simulator
from otp_service.vault import Vault
from tests.faults.backends import sturdy_cluster
from tests.faults.history import History, messages_of, read_rows
from tests.faults.people import Recorder
from tests.faults.rules import violations
from tests.support import postgres
from tests.support.processes import service_settings
from tests.support.service import Service, serving
from tests.support.vendor import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY, Vendor, running_vendor

CONFIG = """
[limits]
sends_per_number = ""
pause_per_number = 0
sends_per_user_ip = ""
[purposes.signup]
resend_after = [0]
[purposes.by_sms]
resend_after = [0]
routes = ["sms"]
"""


DEAR = {"test_key_rotation", "test_overload", "test_stops"}


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """In the short form the dearest tests run on one database each, which the seed chooses."""
    options = metafunc.config.option
    dear = metafunc.module.__name__.rpartition(".")[2] in DEAR
    if dear and not options.faults and "database_url" in metafunc.fixturenames:
        chosen = random.Random(f"{options.fault_seed} {metafunc.function.__name__}").choice(["sqlite", "postgresql"])
        metafunc.definition.add_marker(pytest.mark.parametrize("database_url", [chosen], indirect=True))


@pytest.fixture
def long_form(request: pytest.FixtureRequest) -> bool:
    """Whether there are minutes, not seconds."""
    return bool(request.config.option.faults)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What a test chooses with: its own, the same for the same seed."""
    seed = request.config.option.fault_seed
    print(f"--fault-seed {seed}")  # noqa: T201 - shown where the test fails
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture(scope="session")
def shared_vendor() -> Iterator[Vendor]:
    """A gateway that forgets no message."""
    with running_vendor(create_simulator(INSTANCE_ID, PUBLIC_KEY, PRIVATE_KEY, kept=10**6)) as vendor:
        yield vendor


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL that may suffer."""
    own = sturdy_cluster()
    yield own
    own.stop()


@pytest.fixture
def settings(database_url: str, vendor: Vendor, tmp_path: Path) -> dict[str, str]:
    """Of a server without limits of sends."""
    return faults_settings(database_url, vendor, tmp_path)


def faults_settings(
    database_url: str, vendor: Vendor, folder: Path, config: str = CONFIG, **more: str
) -> dict[str, str]:
    """Of a server with a config file."""
    path = folder / "otp.toml"
    path.write_text(config)
    return service_settings(database_url, vendor, OTP_CONFIG_FILE=str(path), **more)


def history_of(recorder: Recorder, vendor: Vendor, database_url: str, vault: Vault, slack: float = 0.5) -> History:
    """Of one client application, as it is now."""
    messages = messages_of(vendor.messages(), recorder.numbers)
    return History(recorder.calls, messages, read_rows(database_url, vault), slack)


PASSES_SECONDS = 30.0
"""A send counts as stuck, a lease as run out, a request as dead."""


@asynccontextmanager
async def afterwards(
    database_url: str, vendor: Vendor, config: str = CONFIG, **settings: str
) -> AsyncIterator[Service]:
    """The service in this process, well, when time has passed and what was stuck is swept."""
    assert max(idempotency.DEAD_AFTER_SECONDS, retention.STUCK_AFTER_SECONDS) < PASSES_SECONDS
    vendor.recover()
    async with serving(database_url, vendor, tomllib.loads(config), **settings) as service:
        service.shift(PASSES_SECONDS)
        await retention.sweep(service.ctx)
        await outbox.work(service.ctx)
        yield service


def judge(recorder: Recorder, vendor: Vendor, database_url: str, vault: Vault, slack: float = 0.5) -> None:
    """The history breaks no rule."""
    found = violations(history_of(recorder, vendor, database_url, vault, slack))
    assert not found, "\n".join(found)
