"""`serve`: the API in one or several worker processes."""

import os
import tempfile
from contextlib import suppress
from typing import Any

import click
import uvicorn
from starlette.applications import Starlette

from otp_service import logs
from otp_service.app import create_app
from otp_service.cli.running import unavailable, with_database
from otp_service.clock import Clock
from otp_service.errors import SettingsError, Unavailable
from otp_service.services import health
from otp_service.settings import DatabaseSettings, ServiceSettings, load
from otp_service.storage.engine import Database

GRACEFUL_SECONDS = 20
"""Longer than a start may take: what is in flight ends."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Serve the API."""
    settings = checked_settings()
    logs.configure(settings.log_level, settings.log_format)
    if workers > 1:
        # Read by prometheus_client when a worker imports it: the workers add up their metrics there.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="otp-metrics-")
    uvicorn.run(
        "otp_service.cli.serve:worker", factory=True, host=host, port=port, workers=workers, **server_options(settings)
    )


def worker() -> Starlette:
    """The application of one worker process, from its own environment."""
    settings = load(ServiceSettings)
    logs.configure(settings.log_level, settings.log_format)
    return create_app(settings)


def server_options(settings: ServiceSettings) -> dict[str, Any]:
    """uvicorn's defaults that are changed: it would believe headers, log query strings and wait for ever."""
    return {
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": [str(network) for network in settings.trusted_proxies],
        "timeout_keep_alive": 15,
        "timeout_graceful_shutdown": GRACEFUL_SECONDS,
        "backlog": 2048,
    }


def checked_settings() -> ServiceSettings:
    """The settings, or SettingsError with every problem at once, the schema's included."""
    problems: list[str] = []
    settings = None
    try:
        settings = load(ServiceSettings)
    except SettingsError as error:
        problems += error.problems
    with suppress(SettingsError):  # said above
        problems += _schema_problems((settings or load(DatabaseSettings)).database_url)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def _schema_problems(url: str) -> list[str]:
    async def states(database: Database, _: Clock) -> dict[str, str]:
        return await health.database_and_schema(database)

    try:
        found = with_database(url, states)
    except Unavailable as error:
        return [unavailable(error)]
    if found["schema"] == "outdated":
        return ["The schema of the database is older than this release needs; run `otp-service migrate`."]
    return []
