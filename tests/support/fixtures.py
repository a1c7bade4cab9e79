"""Fixtures that tests/conftest.py imports."""

from collections.abc import Iterator

import pytest

from otp_service import clock
from tests.support import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """Yields one real PostgreSQL for the session; each test creates its own databases in it."""
    server = postgres.start()
    yield server
    server.stop()


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes by `Service.shift` alone, however busy the machine is."""
    now = clock.elapsed()
    monkeypatch.setattr(clock, "elapsed", lambda: now)
