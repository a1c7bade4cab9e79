"""The commands of README.md and docs/testing.md in a clean clone, as printed there, and a PIN that somebody types."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.patience import PATIENCE
from tests.support.processes import wait_for

ROOT = Path(__file__).parent.parent
MOST_SECONDS = 120.0


def commands(page: str, heading: str) -> list[str]:
    """The shell commands under a heading."""
    section = (ROOT / page).read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


SERVE, VERIFY = commands("README.md", "Quick start")
SERVE_TEST_NUMBER, VERIFY_TEST_NUMBER = commands("docs/testing.md", "Test numbers")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that git knows, in a folder of their own."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path / "clone"


def prepare(clone: Path) -> None:
    """Put the packages of this environment in place of those that `./run` would install."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    path = f'PYTHONPATH="{clone}:{clone / "client"}"'
    python.write_text(f'#!/bin/sh\n{path} exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (clone / "run").write_text(f'#!/bin/sh\nexec "{python}" -m otp_service "${{1:-dev}}"\n')


@contextmanager
def running(command: str, clone: Path) -> Iterator[str]:
    """Run the first command; yield the address of its simulated gateway once it serves."""
    output = clone.parent / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            ["sh", "-c", command], cwd=clone, env=environment(), stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_for(lambda: "Ctrl-C stops." in output.read_text() or process.poll() is not None)
        if "is a package index reachable?" in output.read_text():
            pytest.skip("no package index can be reached")
        assert process.poll() is None, output.read_text()
        yield (clone / ".otp-dev" / "simulator-url").read_text().strip()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)


def typed(command: str, clone: Path, simulator: str, pin: str = "") -> str:
    """Run the second command and type the PIN, or that of the new message; return what it prints after the prompt."""
    pipe, known = subprocess.PIPE, len(messages(simulator))
    with subprocess.Popen(
        ["sh", "-c", command], cwd=clone, env=environment(), stdin=pipe, stdout=pipe, text=True
    ) as process:
        wait_for(lambda: bool(pin) or process.poll() is not None or len(messages(simulator)) > known)
        out, _ = process.communicate(f"{pin or messages(simulator)[0]['pin']}\n", timeout=PATIENCE)
    prompt, _, result = out.rpartition(" : ")
    assert prompt == f"PIN, from {simulator}/"
    return result


def messages(simulator: str) -> list[dict[str, str]]:
    """The messages to phones, newest first."""
    found: list[dict[str, str]] = httpx.get(f"{simulator}/messages").json()
    return found


def environment() -> dict[str, str]:
    """The environment of a person who has set up nothing."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OTP_", "PYTHON", "COV"))}


def test_the_commands_of_the_quick_start_verify_a_number(clone: Path) -> None:
    assert [command.count("\n") for command in (SERVE, VERIFY)] == [1, 1], "with the PIN three things to type"
    prepare(clone)
    with running(SERVE, clone) as simulator:
        assert typed(VERIFY, clone, simulator) == "approved +573001234567\n"
        # A second run finds the service as the first one left it.
        assert typed(VERIFY, clone, simulator) == "approved +573001234567\n"


@pytest.mark.long
def test_the_first_program_says_in_one_line_what_went_wrong(clone: Path) -> None:
    prepare(clone)
    not_running = "The service does not run. Start it with ./run, then run this again."
    assert refused(VERIFY, clone) == not_running
    with running(SERVE, clone):
        assert refused(VERIFY, clone) == "No PIN was typed. Run this again to type it."
        assert "pin: Must be the ASCII digits" in refused(VERIFY, clone, "12a\n")
        assert refused(f"{VERIFY.strip()} 12", clone).startswith("invalid_number: ")
    assert refused(VERIFY, clone) == not_running


def refused(command: str, clone: Path, typed: str = "") -> str:
    """The line that a program says before it fails."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=clone, env=environment(), input=typed, capture_output=True, text=True
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    return line


@pytest.mark.long
def test_the_commands_of_docs_testing_verify_a_test_number(clone: Path) -> None:
    prepare(clone)
    with running(SERVE_TEST_NUMBER, clone) as simulator:
        assert typed(VERIFY_TEST_NUMBER, clone, simulator, "424242") == "approved +15005550006\n"
        assert messages(simulator) == []


@pytest.mark.long
def test_from_a_clean_clone_a_number_is_verified_within_two_minutes(clone: Path) -> None:
    begun = time.monotonic()
    with running(SERVE, clone) as simulator:
        assert typed(VERIFY, clone, simulator) == "approved +573001234567\n"
        assert time.monotonic() - begun < MOST_SECONDS
