"""What the tests of docs/faults.md choose at random, and what they run on."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from otp_service.simulator import create_simulator
from tests.faults.backends import sturdy_cluster
from tests.faults.world import faults_settings
from tests.support import postgres
from tests.support.vendor import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY, Vendor, running_vendor


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
