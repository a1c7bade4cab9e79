"""`otp-service clients`."""

import asyncio
import base64
import json
import re
from functools import partial
from pathlib import Path

import pytest

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients.clients import ApiKeyCache
from tests.support.processes import failed, here, ok, together


def created(text: str) -> dict[str, str]:
    """The answer of `--json`, which is the whole standard output."""
    answer: dict[str, str] = json.loads(text)
    assert answer.keys() == {"id", "name", "api_key"}
    kind, _, random = answer["api_key"].partition("_")
    assert kind == "otp"
    assert len(base64.urlsafe_b64decode(random + "=" * (-len(random) % 4))) >= 16
    return answer


async def use(database_url: str, api_key: str) -> None:
    """A request with the key."""
    database = Database(database_url)
    try:
        assert await ApiKeyCache(database, Clock()).client_of(api_key)
    finally:
        database.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_client_is_created_rotated_and_revoked(database_url: str) -> None:
    settings = {"OTP_DATABASE_URL": database_url}
    first = created(ok("clients", "create", "shop", "--json", settings=settings))
    second = created(ok("clients", "rotate", "shop", "--grace", "15m", "--json", settings=settings))
    assert (second["id"], second["name"]) == (first["id"], "shop")
    assert second["api_key"] != first["api_key"]
    asyncio.run(use(database_url, second["api_key"]))
    assert re.fullmatch(
        rf"shop\t{first['id']}\tcreated \S+Z\n"
        r"  key 1\tcreated \S+Z\tnot used yet\tends \S+Z\n"
        r"  key 2\tcreated \S+Z\tlast used \S+Z\n",
        ok("clients", "list", settings=settings),
    )
    assert ok("clients", "revoke", "shop", settings=settings) == "The keys of shop are refused from now on.\n"
    listed = ok("clients", "list", settings=settings)
    assert re.search(r"\trevoked \S+Z\n", listed)
    assert "otp_" not in listed


@pytest.fixture
def settings(migrated_sqlite: Path, tmp_path: Path) -> dict[str, str]:
    """A database with the client `shop`."""
    path = tmp_path / "otp.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    settings = {"OTP_DATABASE_URL": f"sqlite:///{path}"}
    assert ok("clients", "list", settings=settings).startswith("There are no clients yet")
    shown = ok("clients", "create", "shop", settings=settings)
    assert re.search(r"^api key  otp_\S{43}$", shown, re.MULTILINE)
    return settings


def test_what_cannot_be_done_is_one_line_that_says_what_to_do(settings: dict[str, str]) -> None:
    twice, bad, unknown, unknown_too, no_schema = together(
        partial(failed, "clients", "create", "shop", "--json", settings=settings),
        partial(failed, "clients", "create", "a\nb", "--json", settings=settings),
        partial(failed, "clients", "rotate", "none", settings=settings),
        partial(failed, "clients", "revoke", "none", settings=settings),
        partial(failed, "clients", "list", settings={"OTP_DATABASE_URL": settings["OTP_DATABASE_URL"] + "x"}),
    )
    assert twice == ["error: There is a client shop already; `clients rotate shop` gives it a new key."]
    assert bad == ["error: A client's name is 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first."]
    assert unknown == unknown_too == ["error: There is no client none; `clients list` shows them."]
    assert len(no_schema) == 1
    assert "otp-service migrate" in no_schema[0]


@pytest.mark.parametrize("name", ["otp_hush", f"otp_{'hush' * 10}abc", "\x1b[31mhush", "hush hush", "h" * 65])
def test_a_name_that_is_none_is_not_shown(settings: dict[str, str], name: str) -> None:
    for command in ("create", "rotate", "revoke"):
        done = here("clients", command, name, settings=settings)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(
            "error: That is an API key, or" if name.startswith("otp_") else "error: A client's name is 1 to 64"
        )
        assert name[-4:] not in done.err.removeprefix("error: ")


def test_a_grace_that_is_no_time_and_options_that_are_none_end_with_2() -> None:
    calls = (
        ("clients", "rotate", "shop", "--grace", "soon"),
        ("clients", "rotate", "shop", "--grace", "-1h"),
        ("clients", "rotate"),
        ("clients", "create", "shop", "--yaml"),
        ("clients", "forget", "shop"),
        ("nonsense",),
    )
    for call in calls:
        done = here(*call, settings={"OTP_DATABASE_URL": "sqlite:///none.db"})
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Usage: ")
