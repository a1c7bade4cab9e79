"""`otp-service migrate`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from otp_service.storage.schema import HEAD
from tests.support.postgres import Server
from tests.support.processes import Done, failed, ok, run, together

DONE = f"The schema is at revision {HEAD}.\n"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which nothing is yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'otp.db'}"
        return
    server: Server = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


def test_it_ends_at_the_newest_revision_and_again_nothing_changes(empty_database: str) -> None:
    settings = {"OTP_DATABASE_URL": empty_database}
    assert ok("migrate", settings=settings) == ok("migrate", settings=settings) == DONE


@pytest.mark.long
def test_several_processes_at_once_all_end_at_the_newest_revision(empty_database: str) -> None:
    migrations = together(*[partial(run, "migrate", settings={"OTP_DATABASE_URL": empty_database})] * 3)
    assert migrations == [Done(0, DONE, "")] * 3


def test_it_needs_the_database_alone_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    missing, nowhere, away = together(
        partial(failed, "migrate", settings={}),
        partial(failed, "migrate", settings={"OTP_DATABASE_URL": f"sqlite:///{tmp_path}/no/otp.db"}),
        partial(failed, "migrate", settings={"OTP_DATABASE_URL": f"postgresql://me:hush@/none?host={tmp_path}"}),
    )
    assert missing == ["error: OTP_DATABASE_URL is missing: sqlite:///path or postgresql://user@host/database"]
    assert nowhere == ["error: OTP_DATABASE_URL: the folder of this file does not exist; create it"]
    assert len(away) == 1
    assert "cannot be used" in away[0]
    assert "hush" not in away[0]
