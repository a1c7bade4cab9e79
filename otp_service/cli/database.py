"""`migrate` and `restored`."""

import click

from otp_service.cli.kit.running import with_database
from otp_service.config.settings import DatabaseSettings, load
from otp_service.database import migrate as migrations
from otp_service.services.operations import restore
from otp_service.storage import schema


@click.command()
def migrate() -> None:
    """Bring the schema to the newest revision; safe from several replicas at once."""
    url = load(DatabaseSettings).database_url
    migrations.upgrade(url)
    revision = with_database(url, lambda database, _: database.read(schema.revision))
    click.echo(f"The schema is at revision {revision}.")


@click.command()
@click.option("--delete-recovery-codes", is_flag=True, help="Also delete all recovery codes: used ones are back.")
def restored(*, delete_recovery_codes: bool) -> None:
    """End what a restored backup revives: pending verifications and challenges, proofs, devices, used TOTP values."""
    url = load(DatabaseSettings).database_url
    ended = with_database(
        url, lambda database, clock: restore.end_all(database, clock, with_recovery_codes=delete_recovery_codes)
    )
    click.echo(f"Canceled {ended.pending} pending verifications and challenges.")
    click.echo(f"Revoked {ended.devices} devices.")
    if delete_recovery_codes:
        click.echo(f"Deleted the recovery codes of {ended.subjects_without_codes} subjects.")
