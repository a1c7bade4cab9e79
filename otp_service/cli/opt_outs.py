"""`opt-outs show` and `lift`."""

import click

from otp_service import phone
from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import with_database
from otp_service.clock import rfc3339
from otp_service.config.settings import StorageSettings
from otp_service.services.opt_outs import opt_outs as service
from otp_service.vault import Vault


@click.group()
def opt_outs() -> None:
    """Show or lift opt-outs."""


@opt_outs.command()
@click.argument("number")
def show(number: str) -> None:
    """Show whether NUMBER (E.164) wants messages, and who said that it does not."""
    settings = load_settings(StorageSettings)
    e164 = phone.as_kept(number)
    vault = Vault(settings.keys)
    found = with_database(settings.database_url, lambda database, _: service.show(database, vault, e164))
    if found.since is None:
        click.echo(f"{phone.mask(e164)} has not opted out.")
    else:
        click.echo(f"{phone.mask(e164)}\topted out\tby {found.source}\tsince {rfc3339(found.since)}")


@opt_outs.command()
@click.argument("number")
def lift(number: str) -> None:
    """Let NUMBER (E.164) get messages again, also after a STOP by SMS. Do it only if the person asked for it."""
    settings = load_settings(StorageSettings)
    e164 = phone.as_kept(number)
    vault, keyword = Vault(settings.keys), settings.policy.campaign.start
    lifted = with_database(
        settings.database_url, lambda database, clock: service.lift(database, vault, clock, keyword, e164)
    )
    click.echo(f"{phone.mask(e164)} gets messages again." if lifted else f"{phone.mask(e164)} had not opted out.")
