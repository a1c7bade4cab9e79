"""The blocks of docs/testing.md run exactly as they are printed there: a job of CI with tests of an application."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import BYTECODE

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The page's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: apt install curl")
def test_the_job_starts_the_service_and_the_tests_pass(tmp_path: Path) -> None:
    tests, clone = tmp_path / "tests", tmp_path / "otp_service"
    tests.mkdir()
    clone.mkdir()
    (tests / "test_phone.py").write_text("\n\n".join(blocks("python")))
    (tests / "otp-policy.toml").write_text("".join(blocks("toml")))
    run = clone / "run"
    run.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m otp_service "$@"\n')
    run.chmod(0o755)
    job = blocks("sh")[0]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
        "PYTHONPYCACHEPREFIX": BYTECODE,
    }
    done = subprocess.run(["sh", "-c", job], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "otp.log").read_text()
    count = len(re.findall(r"^def test_", "".join(blocks("python")), re.MULTILINE))
    assert f"{count} passed" in done.stdout
