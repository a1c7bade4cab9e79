"""`serve`: the API in one or several worker processes."""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress

import click
import structlog
import uvicorn
from starlette.applications import Starlette
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from otp_service.app import create_app
from otp_service.cli.kit.running import (
    dump_no_core,
    end_cleanly_when_stopped,
    ends_when_hung_up,
    listening,
    missing_file,
    schema_problem,
    unavailable,
)
from otp_service.config.policy import test_numbers
from otp_service.config.settings import DatabaseSettings, ServiceSettings, load
from otp_service.database.engine import Database
from otp_service.errors import SettingsError, Unavailable
from otp_service.observability import logs
from otp_service.server.options import server_options
from otp_service.server.reload import Reloadable
from otp_service.server.sockets import handles
from otp_service.services.operations import health


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Serve the API."""
    dump_no_core()
    end_cleanly_when_stopped()
    settings = checked_settings()
    logs.configure(settings.log_level, settings.log_format)
    if not ends_when_hung_up():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the application handles it
    config = uvicorn.Config("otp_service.cli.serve:worker", factory=True, workers=workers, **server_options(settings))
    sockets = handles(listening(host, port))
    tested = test_numbers.active(settings.policy.test_numbers, time.time())
    log = structlog.get_logger("otp_service.cli").bind(**({"test_numbers": tested} if tested else {}))
    log.info("listening", host=host, port=sockets[0].getsockname()[1])
    started = _serve_in_workers(config, sockets) if workers > 1 else _serve_here(config, sockets)
    if not started:
        sys.exit(STARTUP_FAILURE)


def _serve_here(config: uvicorn.Config, sockets: list[socket.socket]) -> bool:
    server = uvicorn.Server(config)
    server.run(sockets)
    return server.started


def _serve_in_workers(config: uvicorn.Config, sockets: list[socket.socket]) -> bool:
    with tempfile.TemporaryDirectory(prefix="otp-metrics-") as folder:
        # Read by prometheus_client when a worker imports it: the workers add up their metrics there.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        supervisor = _Supervisor(config, sockets)
        supervisor.run()
        return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


class _Supervisor(Multiprocess):
    """The parent process of the workers."""

    def handle_hup(self) -> None:
        """Let every worker reload, or stop if the terminal was closed."""
        if ends_when_hung_up():
            self.should_exit.set()
            return
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)


def worker() -> Reloadable:
    """Return the application of one worker process, from its own environment."""
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the application handles it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What is imported by now lives as long as the process. A full collection that visits it takes over 100 ms.
    gc.collect()
    gc.freeze()
    return Reloadable(_application, on_hangup=not ends_when_hung_up())


def _application() -> Starlette:
    settings = load(ServiceSettings)
    logs.configure(settings.log_level, settings.log_format)
    return create_app(settings)


def _end_with_parent() -> None:
    """Stop the worker if its parent was killed, so that it does not hold the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def checked_settings() -> ServiceSettings:
    """Return the settings. Raises SettingsError with every problem at once, the schema's included."""
    problems: list[str] = []
    settings = None
    try:
        settings = load(ServiceSettings)
    except SettingsError as error:
        problems += error.problems
    with suppress(SettingsError):  # said above
        problem = _database_problem((settings or load(DatabaseSettings)).database_url)
        problems += [problem] if problem else []
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def _database_problem(url: str) -> str | None:
    async def look() -> str | None:
        database = Database(url, patient=True)
        try:
            return schema_problem(await health.writable_revision(database))
        except Unavailable as error:
            return unavailable(error)
        finally:
            database.close()

    return missing_file(url) or asyncio.run(look())
