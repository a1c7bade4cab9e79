"""The service as a real process with the simulated gateway, and both clients."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from otp_service_client import AsyncClient, Client
from running_service import Awaited, Connect, Dev

from tests.support.processes import launched

POLICY = """
[purposes.signup]
resend_after = [0]
[purposes.login]
resend_after = [60]
[limits]
pause_per_number = 0
"""
_suffixes = itertools.count(1)


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """The service."""
    folder = tmp_path_factory.mktemp("dev")
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    arguments = ("dev", "--port", "0", "--simulator-port", "0", "--folder", str(folder / "data"))
    with launched(*arguments, settings={"OTP_CONFIG_FILE": str(policy)}) as process:
        process.wait_for(lambda: "Ctrl-C stops." in process.text())
        process.url, key, simulator = (
            (folder / "data" / name).read_text().strip() for name in ("url", "api-key", "simulator-url")
        )
        process.wait_for(process.is_ready)
        yield Dev(process.url, key, simulator)


@pytest.fixture
def to() -> str:
    """A number that no other test uses."""
    return f"+57301{next(_suffixes):07d}"


@pytest.fixture(params=[Client, AsyncClient])
def connect(request: pytest.FixtureRequest, dev: Dev) -> Iterator[Connect]:
    """Makes clients of one kind: of the running service, unless another address or transport is given."""
    with asyncio.Runner() as runner:
        made = []

        def make(url: str = dev.url, key: str = dev.key, **options: Any) -> Any:
            client = request.param(url, key, **options)
            made.append(client if request.param is Client else Awaited(client, runner.run))
            return made[-1]

        yield make
        for each in made:
            each.close()


@pytest.fixture
def otp(connect: Connect) -> Any:
    """A client of the running service."""
    return connect()
