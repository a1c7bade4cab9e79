"""`otp-service serve` as a process that is forked from one which has imported everything: it is up in a moment.

The command is the real one, in a process, a session and an environment of its own. A test can give it a twist: a
function that changes something in the process before the command runs.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import READY_SECONDS, STOP_SECONDS
from tests.support.servers import free_port

_nursery = multiprocessing.get_context("forkserver")
_nursery.set_forkserver_preload(["tests.faults.preload"])

Twist = Callable[[], None]


def _serve(settings: dict[str, str], port: int, output: str, twist: Twist | None) -> None:
    """In the new process."""
    os.setsid()
    with open(output, "ab", buffering=0) as log:  # noqa: PTH123 - as it stands
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.clear()
    os.environ |= {"PATH": os.defpath, **settings}
    os.chdir(Path(output).parent)
    if twist is not None:
        twist()
    from otp_service.cli import main

    main(["serve", "--port", str(port)], prog_name="otp-service")


class Ended(AssertionError):
    """The server ended although nobody had asked it to."""


@dataclass
class Replica:
    """One server on a port of its own for good, however often its process is replaced."""

    settings: dict[str, str] = field(repr=False)
    folder: Path
    twist: Twist | None = None
    port: int = field(default_factory=free_port)
    process: Any = None

    @property
    def url(self) -> str:
        """On loopback."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process now."""
        return int(self.process.pid)

    @property
    def output(self) -> Path:
        """Standard output and standard error of all its processes."""
        return self.folder / f"{self.port}.log"

    def start(self) -> None:
        """A new process; it may not listen yet."""
        arguments = (self.settings, self.port, str(self.output), self.twist)
        self.process = _nursery.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()

    async def ready(self, seconds: float = READY_SECONDS) -> float:
        """Waits until /readyz answers 200; how many seconds it took."""
        return await self.answers("/readyz", 200, seconds)

    async def answers(self, path: str, status: int, seconds: float = READY_SECONDS) -> float:
        """Waits until a call of the path is answered with the status; how many seconds it took."""
        begun = time.monotonic()
        async with httpx.AsyncClient(base_url=self.url, timeout=2, trust_env=False) as http:
            while time.monotonic() - begun < seconds:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(path)).status_code == status:
                        return time.monotonic() - begun
                if not self.process.is_alive():
                    raise Ended(f"it ended with {self.process.exitcode}:\n{self.tail()}")
                await asyncio.sleep(0.02)
        raise AssertionError(f"{path} did not answer {status} in {seconds} s:\n{self.tail()}")

    async def comes_up(self) -> None:
        """Ready, if need be with another start, as by a service manager: it ends where the database is away then."""
        until = time.monotonic() + READY_SECONDS
        while True:
            if self.process is None or not self.process.is_alive():
                self.start()
            try:
                await self.ready()
            except Ended:
                if time.monotonic() > until:
                    raise
            else:
                return

    def tail(self) -> str:
        """The end of the output."""
        return "\n".join(self.output.read_text().splitlines()[-15:])

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join()

    def stop(self) -> int | None:
        """SIGTERM; the exit code, once it has ended."""
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        exitcode: int | None = self.process.exitcode
        return exitcode

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)


@asynccontextmanager
async def fleet(*settings: dict[str, str], twists: tuple[Twist | None, ...] = ()) -> AsyncIterator[list[Replica]]:
    """One server for each of the settings, started; at the end those that live are stopped, which must work."""
    with tempfile.TemporaryDirectory(prefix="otp-faults-") as folder:
        wanted = twists or (None,) * len(settings)
        replicas = [Replica(each, Path(folder), twist) for each, twist in zip(settings, wanted, strict=True)]
        try:
            for replica in replicas:
                replica.start()
            yield replicas
            for replica in replicas:
                if replica.process.is_alive():
                    # In a thread: what it needs for its stop may be in this event loop.
                    assert await asyncio.to_thread(replica.stop) == 0, replica.tail()
        finally:
            for replica in replicas:
                if replica.process.is_alive():
                    replica.kill()
