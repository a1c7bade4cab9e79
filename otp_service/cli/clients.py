"""`clients create`, `list`, `rotate`, `revoke`."""

import json
import re

import click

from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import with_database
from otp_service.clock import rfc3339
from otp_service.config.settings import DatabaseSettings
from otp_service.database.statements import AnyRow
from otp_service.services.clients import clients as service
from otp_service.services.clients.clients import NewKey

_GRACE = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
def clients() -> None:
    """Manage the client applications and their API keys."""


@clients.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def create(name: str, as_json: bool) -> None:
    """Create the client NAME and show its API key, this once."""
    _show(with_database(_url(), lambda database, clock: service.create(database, clock, name)), as_json)


@clients.command("list")
def show() -> None:
    """Show all clients and their keys that work."""
    found = with_database(_url(), service.list_all)
    for client, keys in found:
        state = f"\trevoked {rfc3339(client.revoked_at)}" if client.revoked_at else ""
        click.echo(f"{client.name}\t{client.id}\tcreated {rfc3339(client.created_at)}{state}")
        for key in keys:
            click.echo(f"  key {key.id}\tcreated {rfc3339(key.created_at)}\t{_use(key)}")
    if not found:
        click.echo("There are no clients yet; `otp-service clients create NAME` makes one.")


@clients.command()
@click.argument("name")
@click.option("--grace", default="24h", show_default=True, help="How long the old keys still work: 30s, 15m, 24h, 7d.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def rotate(name: str, grace: str, as_json: bool) -> None:
    """Give the client NAME a new API key; the old ones end after the grace."""
    seconds = _seconds(grace)
    _show(with_database(_url(), lambda database, clock: service.rotate(database, clock, name, seconds)), as_json)


@clients.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Refuse every key of the client NAME, on all replicas within 5 seconds."""
    with_database(_url(), lambda database, clock: service.revoke(database, clock, name))
    click.echo(f"The keys of {name} are refused from now on.")


def _use(key: AnyRow) -> str:
    used = f"last used {rfc3339(key.last_used_at)}" if key.last_used_at else "not used yet"
    return f"{used}\tends {rfc3339(key.expires_at)}" if key.expires_at else used


def _url() -> str:
    return load_settings(DatabaseSettings).database_url


def _seconds(grace: str) -> float:
    match = _GRACE.fullmatch(grace)
    if match is None:
        raise click.BadParameter("write a number and s, m, h or d, such as 24h", param_hint="--grace")
    return float(match[1]) * _SECONDS[match[2]]


def _show(key: NewKey, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"id": key.id, "name": key.name, "api_key": key.api_key}))
        return
    click.echo(f"client   {key.name} ({key.id})\napi key  {key.api_key}\nThe key is not shown again: store it now.")
