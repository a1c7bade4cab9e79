"""`migrate` and `restored`."""

import click
from sqlalchemy.engine import Connection

from otp_service.cli.running import with_database
from otp_service.clock import Clock
from otp_service.services import retention
from otp_service.settings import DatabaseSettings, load
from otp_service.storage import migrate as migrations
from otp_service.storage import schema
from otp_service.storage.engine import Database


@click.command()
def migrate() -> None:
    """Bring the schema to the newest revision; safe from several replicas at once."""
    settings = load(DatabaseSettings)
    migrations.upgrade(settings.database_url)

    async def revision(database: Database, _: Clock) -> str | None:
        def read(tx: Connection) -> str | None:
            return schema.revision(tx)

        return await database.read(read)

    click.echo(f"The schema is at revision {with_database(settings.database_url, revision)}.")


@click.command()
def restored() -> None:
    """After a restore from a backup: cancel what it shows as pending, so that no old PIN revives."""
    count = with_database(load(DatabaseSettings).database_url, retention.restored)
    click.echo(f"Canceled {count} pending verifications.")
