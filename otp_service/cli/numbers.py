"""What is kept of a number: `budgets show`, `budgets clear`, `numbers renumber`."""

import sys

import click

from otp_service import phone
from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import with_database
from otp_service.clock import rfc3339
from otp_service.config.settings import StorageSettings
from otp_service.services.limits import budgets as service
from otp_service.services.operations import renumbering
from otp_service.vault import Vault


@click.group()
def budgets() -> None:
    """Show or clear the limits and waits of a number."""


@budgets.command()
@click.argument("number")
def show(number: str) -> None:
    """Show what NUMBER (E.164) has used up and until when it waits."""
    settings = load_settings(StorageSettings)
    e164 = phone.as_kept(number)
    policy = settings.policy.limits.failures_per_number
    vault = Vault(settings.keys)
    found = with_database(
        settings.database_url, lambda database, clock: service.show(database, vault, clock, policy, e164)
    )
    for budget in found:
        wrong = f"{budget.checks} wrong in a row, " if budget.checks is not None else ""
        click.echo(f"{budget.limit}\t{budget.scope}\t{wrong}{budget.left} left\tfree at {rfc3339(budget.free_at)}")
    if not found:
        click.echo(f"Nothing is counted at {phone.mask(e164)}.")


@budgets.command()
@click.argument("number")
def clear(number: str) -> None:
    """Lift every limit and wait of NUMBER (E.164), for all clients and purposes."""
    settings = load_settings(StorageSettings)
    e164 = phone.as_kept(number)
    vault = Vault(settings.keys)
    count = with_database(settings.database_url, lambda database, _: service.clear(database, vault, e164))
    click.echo(f"Lifted {count} limits and waits of {phone.mask(e164)}.")


@click.group()
def numbers() -> None:
    """Maintain the stored phone numbers."""


@numbers.command()
@click.option("--dry-run", is_flag=True, help="Only say how many numbers would move.")
def renumber(*, dry_run: bool) -> None:
    """Rewrite numbers whose country has changed its numbering plan in their present form."""
    settings = load_settings(StorageSettings)
    vault = Vault(settings.keys)

    def progress(seen: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{seen} numbers read", err=True, nl=False)

    changed = with_database(
        settings.database_url,
        lambda database, clock: renumbering.renumber(database, vault, clock, progress, dry_run=dry_run),
    )
    click.echo(f"{changed} numbers {'would be' if dry_run else 'are now'} in their present form.")
