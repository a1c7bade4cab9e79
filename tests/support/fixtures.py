"""Fixtures that tests/conftest.py takes over."""

from collections.abc import Iterator

import pytest

from tests.support import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """One real PostgreSQL for the whole session; a test makes databases of its own in it."""
    server = postgres.start()
    yield server
    server.stop()
