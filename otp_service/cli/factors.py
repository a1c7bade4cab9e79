"""`factors show`, `unlock` and `qr`."""

import json
import sys
from dataclasses import asdict

import click

from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import Problems, with_database
from otp_service.cli.kit.times import in_rfc3339
from otp_service.clock import rfc3339
from otp_service.config.settings import StorageSettings
from otp_service.services.factors import for_operator, totp
from otp_service.services.factors.for_operator import Overview

_LONGEST_URI = 1000


@click.group()
def factors() -> None:
    """Show or unlock the second factors of a user, or draw a QR code."""


@factors.command()
@click.argument("client")
@click.argument("subject")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def show(client: str, subject: str, *, as_json: bool) -> None:
    """Show the factors, recovery codes, devices and waits of SUBJECT, a user of CLIENT; numbers are masked."""
    url = load_settings(StorageSettings).database_url
    found = with_database(url, lambda database, clock: for_operator.show(database, clock, client, subject))
    if as_json:
        click.echo(json.dumps(in_rfc3339(asdict(found))))
    else:
        _print(found)


def _print(found: Overview) -> None:
    for factor in found.factors:
        preferred = "preferred" if factor.preferred else "-"
        used = f"last used {_time(factor.last_used_at)}"
        click.echo(f"{factor.id}\t{factor.type}\t{factor.status}\t{factor.number or '-'}\t{preferred}\t{used}")
    codes = found.recovery_codes
    click.echo(f"recovery codes\t{codes.remaining} left\tmade {_time(codes.created_at)}")
    for device in found.devices:
        used = f"last used {_time(device.last_used_at)}"
        click.echo(f"{device.id}\tdevice\texpires {rfc3339(device.expires_at)}\t{used}")
    for count in found.failures:
        wait = f"waits until {rfc3339(count.free_at)}" if count.free_at is not None else "no wait"
        click.echo(f"failures of {count.kind}\t{count.checks} wrong in a row\t{wait}")


def _time(at: float | None) -> str:
    return rfc3339(at) if at is not None else "never"


@factors.command()
@click.argument("client")
@click.argument("subject")
def unlock(client: str, subject: str) -> None:
    """Clear the wrong checks of SUBJECT, a user of CLIENT, so that it need not wait."""
    url = load_settings(StorageSettings).database_url
    count = with_database(url, lambda database, _: for_operator.unlock(database, client, subject))
    click.echo(f"Cleared {count} counts of wrong checks.")


@factors.command()
def qr() -> None:
    """Read an otpauth:// URI from standard input and draw its QR code in the terminal."""
    # Not an argument: `ps` shows arguments to everybody on the machine.
    if sys.stdin.isatty():
        uri = str(click.prompt("URI", hide_input=True, err=True))
    else:
        uri = sys.stdin.read(_LONGEST_URI + 2).strip()
    if not uri.startswith("otpauth://") or len(uri) > _LONGEST_URI or not uri.isascii() or not uri.isprintable():
        raise Problems([f"Standard input must be one otpauth:// URI of at most {_LONGEST_URI} ASCII characters."])
    click.echo(totp.qr_terminal(uri), nl=False)
