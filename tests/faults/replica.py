"""`otp-service serve` as a process that is forked from one that has imported everything, so it starts at once.

The command is the real one, with its own process, session and environment. A test can pass a twist: a function that
changes something in the process before the command runs.
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
    """Runs the command in the new process."""
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
    """The server ended without being told to."""


@dataclass
class Replica:
    """One server that keeps its port although its process is replaced."""

    settings: dict[str, str] = field(repr=False)
    folder: Path
    twist: Twist | None = None
    port: int = field(default_factory=free_port)
    process: Any = None

    @property
    def url(self) -> str:
        """The address of the server on loopback."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the current process."""
        return int(self.process.pid)

    @property
    def output(self) -> Path:
        """Standard output and standard error of all its processes."""
        return self.folder / f"{self.port}.log"

    def start(self) -> None:
        """Starts a process, which may not listen yet."""
        arguments = (self.settings, self.port, str(self.output), self.twist)
        self.process = _nursery.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()

    async def ready(self, seconds: float = READY_SECONDS) -> float:
        """Waits until /readyz returns 200, and returns the seconds that it took."""
        return await self.answers("/readyz", 200, seconds)

    async def answers(self, path: str, status: int, seconds: float = READY_SECONDS) -> float:
        """Waits until a call of the path returns the status, and returns the seconds that it took."""
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
        """Waits until it is ready, and restarts it if it ends because the database is unavailable."""
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
        """Returns the end of the output."""
        return "\n".join(self.output.read_text().splitlines()[-15:])

    def kill(self) -> None:
        """Kills the process with SIGKILL."""
        self.process.kill()
        self.process.join()

    def stop(self) -> int | None:
        """Stops the process with SIGTERM and returns its exit code."""
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        exitcode: int | None = self.process.exitcode
        return exitcode

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)


@asynccontextmanager
async def fleet(*settings: dict[str, str], twists: tuple[Twist | None, ...] = ()) -> AsyncIterator[list[Replica]]:
    """Starts one server per settings, and stops those that are alive at the end, which must succeed."""
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
