"""`./run example`: one command starts the service and the application, and ends both."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from examples.webapp.__main__ import listen
from otp_service.cli.dev.folder import Folder
from tests.support.processes import BYTECODE, ROOT, STOP_SECONDS, wait_for
from tests.support.servers import free_port, responds


@pytest.mark.long
def test_it_starts_the_service_and_ends_it(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "dev"
    command = [sys.executable, "-m", "examples.webapp", "--port", str(port), "--folder", str(folder)]
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPYCACHEPREFIX": BYTECODE,
    }
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            lines = iter(process.stdout.readline, "")
            url = next(line.removeprefix("Click here: ").strip() for line in lines if line.startswith("Click here: "))
            assert url == f"http://127.0.0.1:{port}/"
            wait_for(lambda: responds(url))
            inbox = (folder / "simulator-url").read_text().strip()
            assert f'href="{inbox}/"' in httpx.get(f"{url}").text
            assert httpx.get(inbox).status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)
    assert process.returncode == 0
    Folder(folder)  # fails if the service still runs in it


def test_it_takes_a_free_port_if_its_own_is_taken() -> None:
    with listen(None) as first, listen(None) as second:
        assert first.getsockname() != second.getsockname()
        with pytest.raises(SystemExit, match="cannot be used"):
            listen(second.getsockname()[1])
