"""Fixtures that tests/conftest.py imports."""

from collections.abc import Iterator

import pytest

from tests.support import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """Yields one real PostgreSQL for the session; each test creates its own databases in it."""
    server = postgres.start()
    yield server
    server.stop()
