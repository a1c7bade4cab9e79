"""`webhooks list`, `show` and `replay`."""

import click

from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import with_database
from otp_service.clock import rfc3339
from otp_service.config.settings import DatabaseSettings
from otp_service.services.webhooks import webhooks as service


@click.group()
def webhooks() -> None:
    """Show webhooks of clients, or post events again."""


@webhooks.command("list")
def list_all() -> None:
    """List all webhooks by client."""
    for client, row in with_database(_url(), lambda database, _: service.list_for_operator(database)):
        failing = f"\tfails since {rfc3339(row.failing_since)}" if row.failing_since else ""
        click.echo(f"{row.id}\t{client}\t{row.status}\t{row.url}\t{row.events}{failing}")


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
def show(webhook_id: str) -> None:
    """Show the webhook ID and its last events, newest first."""
    row, deliveries = with_database(_url(), lambda database, _: service.show_for_operator(database, webhook_id))
    click.echo(f"{row.id}\t{row.status}\t{row.url}\t{row.events}")
    for each in deliveries:
        trouble = f"\t{each.last_error}" if each.last_error else ""
        again = f"\tagain at {rfc3339(each.next_at)}" if each.next_at else ""
        click.echo(
            f"{each.id}\t{rfc3339(each.created_at)}\t{each.type}\t{each.status}\t{each.attempts} tries{trouble}{again}"
        )


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.option("--delivery", help="The id of one event; without it, all that failed.")
def replay(webhook_id: str, delivery: str | None) -> None:
    """Enable the webhook ID and post again what failed."""
    count = with_database(
        _url(), lambda database, clock: service.replay_for_operator(database, clock, webhook_id, delivery)
    )
    click.echo(f"{count} events are posted again.")


def _url() -> str:
    return load_settings(DatabaseSettings).database_url
