"""The metrics of several processes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOLD_TWO = "from otp_service.observability import metrics; metrics.HASH_QUEUE.set(2); print('set', flush=True); input()"
RENDER = "from otp_service.observability import metrics; print(metrics.render().decode())"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a worker."""
    return {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}


def held(environment: dict[str, str]) -> subprocess.Popen[str]:
    """A worker in which two requests wait for a hash."""
    pipe = subprocess.PIPE
    worker = subprocess.Popen([sys.executable, "-c", HOLD_TWO], env=environment, stdin=pipe, stdout=pipe, text=True)
    assert worker.stdout
    assert worker.stdout.readline() == "set\n"
    return worker


def test_what_a_killed_worker_held_is_forgotten_and_what_a_live_one_holds_is_not(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with held(environment) as killed, held(environment) as live:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        shown = subprocess.check_output([sys.executable, "-c", RENDER], env=environment, text=True)
        assert "otp_hash_queue 2.0" in shown.splitlines()
        assert not (tmp_path / f"gauge_livesum_{killed.pid}.db").exists()
        assert (tmp_path / f"gauge_livesum_{live.pid}.db").exists()
        live.communicate("\n")
