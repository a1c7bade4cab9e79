"""The programs of docs/other-languages.md verify a number as they are printed there, if their language is installed."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from otp_service.app import create_app
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients import clients
from tests.support.patience import PATIENCE
from tests.support.processes import wait_for
from tests.support.servers import running
from tests.support.service import make_settings, wrong
from tests.support.vendor import Vendor

PAGE = (Path(__file__).parent.parent / "docs" / "other-languages.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = dict(re.findall(r"`((?:node|go|php) [\w ]*verify\.(\w+))`", PAGE))
LANGUAGES = {extension.removeprefix("m"): command.split() for command, extension in COMMANDS.items()}
NUMBER = "+573001234567"


@pytest.fixture
def environment(migrated: str, vendor: Vendor) -> Iterator[dict[str, str]]:
    """What the two `export` lines set."""
    with running(create_app(make_settings(migrated, vendor.base_url, {}))) as url:
        yield {**os.environ, "OTP_SERVICE_URL": url, "OTP_SERVICE_KEY": asyncio.run(new_key(migrated))}


async def new_key(database_url: str) -> str:
    database = Database(database_url)
    try:
        return (await clients.create(database, Clock(), "other")).api_key
    finally:
        database.close()


def test_every_program_has_a_command() -> None:
    assert PROGRAMS.keys() == LANGUAGES.keys() == {"js", "go", "php"}


@pytest.mark.parametrize("language", [*LANGUAGES])
def test_the_program_verifies_a_number(
    language: str, environment: dict[str, str], vendor: Vendor, tmp_path: Path
) -> None:
    command = LANGUAGES[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    (tmp_path / command[-1]).write_text(PROGRAMS[language])

    def result(change: bool) -> str:
        pipe, known = subprocess.PIPE, len(vendor.messages(NUMBER))
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
            wait_for(lambda: process.poll() is not None or len(vendor.messages(NUMBER)) > known)
            pin = vendor.messages(NUMBER)[0]["pin"]
            out, _ = process.communicate(f"{wrong(pin) if change else pin}\n", timeout=PATIENCE)
        return out

    assert result(change=False) == "PIN: approved\n"
    assert result(change=True) == "PIN: incorrect\n"


@pytest.mark.parametrize("language", [*LANGUAGES])
def test_the_program_shows_the_code_of_an_error(language: str, environment: dict[str, str], tmp_path: Path) -> None:
    command = LANGUAGES[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    (tmp_path / command[-1]).write_text(PROGRAMS[language])
    done = subprocess.run(
        command, cwd=tmp_path, env={**environment, "OTP_SERVICE_KEY": "otp_wrong"}, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "unauthorized: " in done.stdout + done.stderr
