"""`dev`: everything on one machine with nothing to set up. Loopback only."""

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import uvicorn
from starlette.types import ASGIApp

from otp_service.app import create_app
from otp_service.cli.running import Problems, dump_no_core, end_cleanly_when_stopped, listening, with_database
from otp_service.cli.serve import server_options
from otp_service.cli.simulator import DELIVER_AFTER_SECONDS
from otp_service.clock import Clock
from otp_service.config.settings import ServiceSettings
from otp_service.database import migrate
from otp_service.database.engine import Database
from otp_service.observability import logs
from otp_service.services.clients import clients as service
from otp_service.services.clients.clients import ClientError
from otp_service.services.operations import retention
from otp_service.simulator.app import create_simulator
from otp_service.vault import generate_key_entry

LOOPBACK = "127.0.0.1"
CLIENT = "dev"
SAMPLE_NUMBER = "+573001234567"
SENDER = "12345"


@dataclass(frozen=True)
class _Port:
    """A listening socket of this machine's own."""

    socket: socket.socket

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.socket.getsockname()[1]}"


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Of the API; 8000, or a free one where that is taken.")
@click.option("--simulator-port", type=click.IntRange(0, 65535), help="Of the simulator; 8001, or a free one.")
@click.option("--folder", default=".otp-dev", show_default=True, type=click.Path(path_type=Path, file_okay=False))
def dev(port: int | None, simulator_port: int | None, folder: Path) -> None:
    """Serve everything on this machine: SQLite, own keys, the simulated Campaign Manager, a client."""
    dump_no_core()
    end_cleanly_when_stopped()
    _make(folder)
    api, vendor = _bind(port, 8000), _bind(simulator_port, 8001)
    account = {
        "instance_id": "43",
        "public_key": _kept(folder / "public-key"),
        "private_key": _kept(folder / "private-key"),
    }
    token = _kept(folder / "callback-token")
    settings = _settings(folder, account, vendor.address, token)
    logs.configure(settings.log_level, settings.log_format)
    click.echo("Preparing the database ...")
    migrate.upgrade(settings.database_url)
    api_key = _api_key(folder / "api-key", settings.database_url)
    click.echo(_welcome(api.address, vendor.address, api_key, folder))
    simulator = create_simulator(
        account["instance_id"],
        account["public_key"],
        account["private_key"],
        deliver_after=DELIVER_AFTER_SECONDS,
        callback_url=f"{api.address}/gateway/ogangi/{token}",
    )
    asyncio.run(_serve([(create_app(settings), api), (simulator, vendor)], settings))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Problems([f"The folder {folder} cannot be made: {error.strerror}."]) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Problems([f"The folder {folder} cannot be written to; choose another one with --folder."])


def _bind(port: int | None, usual: int) -> _Port:
    if port is not None:
        return _Port(listening(LOOPBACK, port))
    try:
        return _Port(listening(LOOPBACK, usual))
    except Problems:
        click.echo(f"Port {usual} is taken; taking a free one.")
        return _Port(listening(LOOPBACK, 0))


def _settings(folder: Path, account: dict[str, str], vendor: str, callback_token: str) -> ServiceSettings:
    """The gateway, the database and the keys are always dev's own: a production .env must not send real messages."""
    config_file = os.environ.get("OTP_CONFIG_FILE")
    return ServiceSettings.of(
        database_url=f"sqlite:///{folder.resolve() / 'otp.db'}",
        secret_keys=_kept(folder / "secret-keys", generate_key_entry),
        config_file=Path(config_file) if config_file else None,
        ogangi_base_url=f"{vendor}/mmc",
        ogangi_sender=SENDER,
        ogangi_carrier="Simulated",
        ogangi_callback_token=callback_token,
        countries=os.environ.get("OTP_COUNTRIES", "*"),
        log_level=os.environ.get("OTP_LOG_LEVEL", "info"),
        log_format=os.environ.get("OTP_LOG_FORMAT", "console"),
        **{f"ogangi_{name}": value for name, value in account.items()},
    )


def _kept(path: Path, make: Callable[[], str] = lambda: secrets.token_hex(16)) -> str:
    """A secret of the folder, made at the first start."""
    if not _read(path):
        _write(path, make())
    return _read(path)


def _api_key(path: Path, url: str) -> str:
    """The key of the client `dev`: kept beside the database, made anew where either is gone."""
    known = _read(path)

    async def ready(database: Database, clock: Clock) -> str:
        # The simulator has forgotten the messages of last time: nobody could read their PINs any more.
        await retention.cancel_pending(database, clock, "restarted")
        if await service.ApiKeyCache(database, clock).client_of(known):
            return known
        try:
            return (await service.create(database, clock, CLIENT)).api_key
        except ClientError:
            return (await service.rotate(database, clock, CLIENT, 0)).api_key

    api_key = with_database(url, ready)
    _write(path, api_key)
    return api_key


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text + "\n")


def _welcome(api: str, vendor: str, api_key: str, folder: Path) -> str:
    headers = f"-H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json'"
    started = f'{{"to": "{SAMPLE_NUMBER}", "purpose": "signup"}}'
    texted = f'{{"from": "{SAMPLE_NUMBER}", "to": "{SENDER}", "text": "STOP"}}'
    return f"""
  API        {api}        documentation {api}/docs
  SMS        {vendor}/       what the simulated gateway "delivered"; as JSON: {vendor}/messages
  API key    {api_key}
  folder     {folder.resolve()}       delete it to begin anew

Request a PIN:

  curl -s {api}/v1/verifications {headers} -d '{started}' -w '\\n'

Read the SMS at {vendor}/ and verify, with the id of the answer in place of ID and the PIN of the SMS in place of PIN:

  curl -s {api}/v1/verifications/ID/checks {headers} -d '{{"pin": "PIN"}}' -w '\\n'

Text STOP as that phone; START takes it back:

  curl -s {vendor}/mo -d '{texted}'

Ctrl-C stops.
"""


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
    """Two servers in one process: the signals are handled above, once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield
