"""A service that the tests of one module share: what is refused must leave it as it was."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.service import Service, serving
from tests.support.vendor import Vendor


@pytest.fixture(scope="module")
async def shared(
    migrated_sqlite: Path, shared_vendor: Vendor, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """On SQLite alone: what is refused before the database is the same on both."""
    path = tmp_path_factory.mktemp("shared") / "otp.db"
    shutil.copy(migrated_sqlite, path)
    async with serving(f"sqlite:///{path}", shared_vendor) as running:
        yield running


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated database of the test's own, on SQLite alone."""
    shutil.copy(migrated_sqlite, tmp_path / "otp.db")
    return f"sqlite:///{tmp_path / 'otp.db'}"
