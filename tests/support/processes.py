"""The real commands as real processes, with their own environment."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from otp_service.cli import main
from tests.support.patience import PATIENCE
from tests.support.servers import free_port, responds
from tests.support.service import CARRIER, CHEAP_ARGON2, SECRET_KEYS
from tests.support.vendor import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY, SENDER, Vendor

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "otp_service")
READY_SECONDS = STOP_SECONDS = PATIENCE

_scratch = tempfile.TemporaryDirectory(prefix="otp-processes-")
BYTECODE = sys.pycache_prefix or f"{_scratch.name}/bytecode"
"""Where all processes keep their bytecode."""
_empty = Path(_scratch.name) / "empty"
_empty.mkdir()
# A thread of its own, because a command may start an event loop, and the tests' may be running.
_one_at_a_time = ThreadPoolExecutor(1)


def storage_settings(database_url: str, **more: str) -> dict[str, str]:
    """Returns the settings of commands that work on the database."""
    return {"OTP_DATABASE_URL": database_url, "OTP_SECRET_KEYS": SECRET_KEYS, **more}


def service_settings(database_url: str, vendor: Vendor, **more: str) -> dict[str, str]:
    """Returns the settings of `serve`, with the cheapest hash."""
    return {
        **storage_settings(database_url),
        "OTP_OGANGI_BASE_URL": vendor.base_url,
        "OTP_OGANGI_INSTANCE_ID": INSTANCE_ID,
        "OTP_OGANGI_PUBLIC_KEY": PUBLIC_KEY,
        "OTP_OGANGI_PRIVATE_KEY": PRIVATE_KEY,
        "OTP_OGANGI_SENDER": SENDER,
        "OTP_OGANGI_CARRIER": CARRIER,
        "OTP_COUNTRIES": "*",
        "OTP_ARGON2": CHEAP_ARGON2,
        "OTP_ALLOW_WEAK_ARGON2": "1",
        **more,
    }


def _options(settings: dict[str, str], folder: Path | None) -> dict[str, Any]:
    """Returns a clean environment without `.env`. Bytecode is shared, as each start takes seconds without it."""
    own = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": BYTECODE,
        "PYTHONWARNINGS": "error",
        "TMPDIR": _scratch.name,
    }
    return {"env": {**own, **settings}, "cwd": folder or _empty, "stdin": subprocess.DEVNULL, "start_new_session": True}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


def run(
    *arguments: str, settings: dict[str, str], folder: Path | None = None, prepare: Callable[[], None] | None = None
) -> Done:
    """Runs one command to its end. `prepare` runs in the child before the command."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        **_options(settings, folder),
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        preexec_fn=prepare,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def here(*arguments: str, settings: dict[str, str], stdin: str = "") -> Done:
    """Runs one command to its end in this process, which is much cheaper."""
    return _one_at_a_time.submit(_invoke, arguments, settings, stdin).result()


def _invoke(arguments: tuple[str, ...], settings: dict[str, str], stdin: str) -> Done:
    with chdir(_empty):
        done = CliRunner().invoke(main, arguments, env=settings, input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return Done(done.exit_code, done.stdout, done.stderr)


def ok(*arguments: str, settings: dict[str, str]) -> str:
    """Returns the standard output of a command that must succeed and print nothing to standard error."""
    done = here(*arguments, settings=settings)
    assert (done.code, done.err) == (0, "")
    return done.out


def failed(*arguments: str, settings: dict[str, str]) -> list[str]:
    """Returns the lines on standard error of a command that must exit with 1 and print nothing to standard output."""
    # `serve` handles signals, which needs a main thread.
    done = (run if arguments[0] == "serve" else here)(*arguments, settings=settings)
    assert (done.code, done.out) == (1, ""), done
    assert "Traceback" not in done.err
    return done.err.splitlines()


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Runs the calls at the same time and returns their results."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until the condition holds, for so long and no longer."""
    until = time.monotonic() + READY_SECONDS
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@dataclass
class Running:
    """A command that runs until it is stopped. `url` is its port on loopback."""

    process: subprocess.Popen[bytes]
    output: Path
    url: str = ""

    def text(self) -> str:
        """Returns standard output and standard error so far."""
        return self.output.read_text()

    def log(self) -> list[dict[str, Any]]:
        """Returns the log so far; every line must be JSON."""
        return [json.loads(line) for line in self.text().splitlines()]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until the condition holds, as long as the process lives and has time."""
        wait_for(lambda: condition() or self.process.poll() is not None)
        assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.text()}"

    def is_ready(self) -> bool:
        """Returns whether /readyz returns 200."""
        return responds(f"{self.url}/readyz")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stops the process and returns its exit code."""
        self.process.send_signal(how)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Kills the process and its workers, as a crash of the machine would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def group_is_gone(self) -> bool:
        """Returns whether the process and all its children have ended."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


@contextmanager
def launched(
    *arguments: str, settings: dict[str, str], folder: Path | None = None, stdin: int = subprocess.DEVNULL
) -> Iterator[Running]:
    """Yields a running command. At the end it is stopped, must exit with 0 and leave no process."""
    with tempfile.NamedTemporaryFile(dir=_scratch.name, prefix="output-") as output:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            **_options(settings, folder) | {"stdin": stdin},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        running = Running(process, Path(output.name))
        try:
            yield running
            if process.poll() is None:
                assert running.stop() == 0, running.text()
            wait_for(running.group_is_gone)
        finally:
            if not running.group_is_gone():
                running.kill()


@contextmanager
def serving(settings: dict[str, str], *arguments: str) -> Iterator[Running]:
    """Yields a ready `otp-service serve` on a free port."""
    with replicas(settings, arguments=arguments) as (server,):
        yield server


@contextmanager
def replicas(*settings: dict[str, str], arguments: tuple[str, ...] = ()) -> Iterator[list[Running]]:
    """Yields one ready server per settings."""
    with ExitStack() as stack:
        servers = []
        for each in settings:
            port = free_port()
            server = stack.enter_context(launched("serve", "--port", str(port), *arguments, settings=each))
            server.url = f"http://127.0.0.1:{port}"
            servers.append(server)
        for server in servers:
            server.wait_for(server.is_ready)
        yield servers
