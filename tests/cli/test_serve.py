"""`otp-service serve` where it must not start."""

import ctypes
import os
import socket
import sqlite3
from pathlib import Path

import pytest

from otp_service.cli.serve import checked_settings
from otp_service.errors import SettingsError
from tests.support.processes import failed, here, ok, run, service_settings
from tests.support.vendor import Vendor

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path) -> Path:
    """A migrated SQLite file."""
    path = tmp_path / "otp.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    return path


def subjects(lines: list[str]) -> list[str]:
    """What each line is about."""
    assert all(line.startswith("error: ") for line in lines)
    return [line.split()[1].rstrip(":") for line in lines]


def test_every_problem_is_named_at_once_and_no_secret_with_it(database: Path, vendor: Vendor) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    settings = service_settings(
        f"sqlite:///{database}",
        vendor,
        OTP_OGANGI_BASE_URL="http://gateway.example/mmc",
        OTP_SECRET_KEYS="k1:hush",
        OTP_OGANGI_PRIVATE_KEY="hush hush",
        OTP_ALLOW_WEAK_ARGON2="",
        OTP_COUNTRIES="",
        OTP_LOG_LEVEL="loud",
    )
    lines = failed("serve", settings=settings)
    assert subjects(lines) == [
        "OTP_SECRET_KEYS",
        "OTP_OGANGI_BASE_URL",
        "OTP_OGANGI_PRIVATE_KEY",
        "OTP_COUNTRIES",
        "OTP_ARGON2",
        "OTP_LOG_LEVEL",
        "The",
    ]
    assert "https://" in lines[1]
    assert "OWASP" in lines[4]
    assert "otp-service migrate" in lines[6]
    assert "hush" not in "".join(lines)


def problem_with(url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> str:
    """The only problem that `serve` names before it listens."""
    for name, value in service_settings(url, vendor).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        checked_settings()
    (problem,) = raised.value.problems
    return problem


def test_a_database_that_is_not_ready_is_named(tmp_path: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("this is no database, however long it may be " * 50)
    urls = (
        f"sqlite:///{tmp_path}/none.db",
        f"sqlite:///{tmp_path}/empty.db",
        f"sqlite:///{tmp_path}/text.db",
        f"postgresql://me:hush@/none?host={tmp_path}",
    )
    none, empty, text, away = [problem_with(url, vendor, monkeypatch) for url in urls]
    assert none == (
        "The database file of OTP_DATABASE_URL does not exist; check the path, then run `otp-service migrate`."
    )
    assert empty == "The database has no schema yet; run `otp-service migrate`."
    for problem in (text, away):
        assert "cannot be used" in problem
        assert "hush" not in problem


def without_roots_rights() -> None:
    """Root may write to everything, unless that right is taken away."""
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0) == 0


@pytest.mark.long
def test_a_database_that_is_read_only_is_named(database: Path, vendor: Vendor) -> None:
    database.chmod(0o400)
    done = run("serve", settings=service_settings(f"sqlite:///{database}", vendor), prepare=without_roots_rights)
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: The database of OTP_DATABASE_URL is read-only; let this account write to it.\n"


@pytest.mark.long
def test_a_port_that_is_taken_and_options_that_are_none_are_named(database: Path, vendor: Vendor) -> None:
    settings = service_settings(f"sqlite:///{database}", vendor)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = failed("serve", "--port", str(port), "--workers", "2", settings=settings)
    cure = "Stop the program that uses it, or choose another port with --port."
    assert lines == [f"error: Cannot listen on port {port} of 127.0.0.1: Address already in use. {cure}"]
    for options in (("--port", "70000"), ("--workers", "0"), ("--reload",)):
        done = here("serve", *options, settings=settings)
        assert (done.code, done.out) == (2, "")


@pytest.mark.long
def test_settings_come_from_a_dotenv_and_from_files_as_well(database: Path, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"sqlite:///{database}\n")
    (tmp_path / ".env").write_text(f"OTP_DATABASE_URL_FILE={tmp_path / 'url'}\n")
    assert run("clients", "list", settings={}, folder=tmp_path).code == 0
    assert ok("clients", "list", settings={"OTP_DATABASE_URL_FILE": str(tmp_path / "url")})
