"""`migrate` and `restored`."""

import click

from otp_service.cli.running import with_database
from otp_service.config.settings import DatabaseSettings, load
from otp_service.database import migrate as migrations
from otp_service.services.operations import retention
from otp_service.storage import schema


@click.command()
def migrate() -> None:
    """Bring the schema to the newest revision; safe from several replicas at once."""
    url = load(DatabaseSettings).database_url
    migrations.upgrade(url)
    revision = with_database(url, lambda database, _: database.read(schema.revision))
    click.echo(f"The schema is at revision {revision}.")


@click.command()
def restored() -> None:
    """Cancel the pending verifications of a restored backup, so that no old PIN becomes valid again."""
    url = load(DatabaseSettings).database_url
    count = with_database(url, lambda database, clock: retention.cancel_pending(database, clock, "restored"))
    click.echo(f"Canceled {count} pending verifications.")
