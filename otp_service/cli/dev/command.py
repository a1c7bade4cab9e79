"""`dev`: everything on one machine with nothing to set up. Loopback only."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import uvicorn
from starlette.types import ASGIApp

from otp_service.app import create_app
from otp_service.cli.dev.folder import DEFAULT, LOOSER, Folder
from otp_service.cli.dev.welcome import SENDER, welcome
from otp_service.cli.kit.running import Problems, dump_no_core, end_cleanly_when_stopped, listening, with_database
from otp_service.cli.simulator import DELIVER_AFTER_SECONDS
from otp_service.clock import Clock
from otp_service.config.settings import ServiceSettings
from otp_service.database import migrate
from otp_service.database.engine import Database
from otp_service.observability import logs
from otp_service.server.loopback import LoopbackOnly
from otp_service.server.options import server_options
from otp_service.services.clients import clients as service
from otp_service.services.clients.clients import ClientError
from otp_service.services.operations import retention
from otp_service.simulator.app import create_simulator
from otp_service.vault import generate_key_entry

LOOPBACK = "127.0.0.1"
CLIENT = "dev"


@dataclass(frozen=True)
class _Port:
    """A listening socket on loopback."""

    socket: socket.socket

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.socket.getsockname()[1]}"


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Of the API; 8000, or a free one if that is taken.")
@click.option("--simulator-port", type=click.IntRange(0, 65535), help="Of the simulator; 8001, or a free one.")
@click.option("--folder", default=DEFAULT, show_default=True, type=click.Path(path_type=Path, file_okay=False))
def dev(port: int | None, simulator_port: int | None, folder: Path) -> None:
    """Serve everything on this machine: SQLite, own keys, the simulated Campaign Manager, a client."""
    dump_no_core()
    end_cleanly_when_stopped()
    own = Folder(folder)
    api, vendor = _bind("--port", port, 8000), _bind("--simulator-port", simulator_port, 8001)
    settings = _settings(own, vendor.address)
    logs.configure(settings.log_level, settings.log_format)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # two servers would write every line twice
    click.echo("Preparing the database ...")
    migrate.upgrade(settings.database_url)
    api_key = _api_key(own)
    own.write("url", api.address)
    own.write("simulator-url", vendor.address)
    click.echo(welcome(api.address, vendor.address, api_key, own.path))
    apps = (create_app(settings), api), (_simulator(settings, api.address), vendor)
    asyncio.run(_serve([(LoopbackOnly(app), address) for app, address in apps], settings))


def _simulator(settings: ServiceSettings, api: str) -> ASGIApp:
    token = settings.ogangi_callback_token
    return create_simulator(
        settings.ogangi_instance_id,
        settings.ogangi_public_key.get_secret_value(),
        settings.ogangi_private_key.get_secret_value(),
        deliver_after=DELIVER_AFTER_SECONDS,
        callback_url=f"{api}/gateway/ogangi/{token.get_secret_value() if token else ''}",
    )


def _bind(option: str, port: int | None, usual: int) -> _Port:
    if port is not None:
        return _Port(listening(LOOPBACK, port, option))
    try:
        return _Port(listening(LOOPBACK, usual))
    except Problems:
        click.echo(f"Port {usual} is taken; taking a free one.")
        return _Port(listening(LOOPBACK, 0))


def _settings(folder: Folder, vendor: str) -> ServiceSettings:
    """Return settings with a gateway, database and keys of dev's own: a production .env must not send real messages."""
    values = {
        "database_url": folder.database_url,
        "secret_keys": folder.kept("secret-keys", generate_key_entry),
        "ogangi_base_url": f"{vendor}/mmc",
        "ogangi_instance_id": "43",
        "ogangi_public_key": folder.kept("public-key"),
        "ogangi_private_key": folder.kept("private-key"),
        "ogangi_sender": SENDER,
        "ogangi_carrier": "Simulated",
        "ogangi_callback_token": folder.kept("callback-token"),
        "webhook_networks": "127.0.0.0/8,::1",
        "countries": os.environ.get("OTP_COUNTRIES", "*"),
    }
    if os.environ.get("OTP_CONFIG_FILE"):
        values["config_file"] = str(Path(os.environ["OTP_CONFIG_FILE"]).absolute())
    folder.write_settings(values)
    log_format = os.environ.get("OTP_LOG_FORMAT", "console")
    settings = ServiceSettings.of(**values, log_level=os.environ.get("OTP_LOG_LEVEL", "info"), log_format=log_format)
    return settings.model_copy(update={"policy": settings.policy.looser(LOOSER)})


def _api_key(folder: Folder) -> str:
    """Return the key of the client `dev`: kept beside the database, made anew if either is gone."""
    known = folder.read("api-key")

    async def ready(database: Database, clock: Clock) -> str:
        # The simulator has forgotten the messages of last time: nobody could read their PINs any more.
        await retention.cancel_pending(database, clock, "restarted")
        if await service.ApiKeyCache(database, clock).client_of(known):
            return known
        try:
            return (await service.create(database, clock, CLIENT)).api_key
        except ClientError:
            return (await service.rotate(database, clock, CLIENT, 0)).api_key

    api_key = with_database(folder.database_url, ready)
    folder.write("api-key", api_key)
    return api_key


async def _serve(apps: list[tuple[ASGIApp, _Port]], settings: ServiceSettings) -> None:
    servers = [_Quiet(uvicorn.Config(app, **server_options(settings))) for app, _ in apps]

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)

    # One without the other is of no use: the first that ends, or never starts, stops both.
    async def run(server: uvicorn.Server, port: _Port) -> None:
        try:
            await server.serve(sockets=[port.socket])
        finally:
            stop()

    await asyncio.gather(*(run(server, port) for server, (_, port) in zip(servers, apps, strict=True)))


class _Quiet(uvicorn.Server):
    """A server that leaves the signals to its caller: two of them run in one process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signal."""
        yield
