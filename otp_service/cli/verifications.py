"""`verifications find`: what became of the verifications of a person."""

import json
from dataclasses import asdict

import click

from otp_service import phone
from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import with_database
from otp_service.cli.kit.times import in_rfc3339
from otp_service.clock import rfc3339
from otp_service.config.settings import StorageSettings
from otp_service.services.verifications import search
from otp_service.services.verifications.search import VerificationHistory
from otp_service.vault import Vault

_IDS = ("ver_", "chl_", "fac_")
"""How ids of verifications begin, of challenges, and of enrolments of authenticator apps."""


@click.group()
def verifications() -> None:
    """Find verifications and challenges of all clients."""


@verifications.command()
@click.argument("number_or_id", metavar="NUMBER|ID", required=False)
@click.option("--subject", help="The application's id of the user.")
@click.option("--reference", help="The application's own reference.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def find(number_or_id: str | None, subject: str | None, reference: str | None, *, as_json: bool) -> None:
    """Show the newest verifications and challenges of a NUMBER (E.164), or the one with an ID, with their events."""
    if not (number_or_id or subject or reference):
        raise click.UsageError("Give a number, an id, --subject or --reference.")
    settings = load_settings(StorageSettings)
    vault = Vault(settings.keys)
    is_id = number_or_id is not None and number_or_id.startswith(_IDS)
    found = with_database(
        settings.database_url,
        lambda database, clock: search.find_for_operator(
            database,
            vault,
            clock,
            e164=phone.as_kept(number_or_id) if number_or_id and not is_id else None,
            verification_id=number_or_id if is_id else None,
            subject=subject,
            reference=reference,
        ),
    )
    if as_json:
        click.echo(json.dumps({"verifications": in_rfc3339([asdict(history) for history in found])}))
        return
    for history in found:
        _print(history)
    if not found:
        click.echo("No verification matches. The number of a verification is deleted some time after its end.")
    if len(found) == search.MOST_FOR_OPERATOR:
        click.echo(f"These are the newest {search.MOST_FOR_OPERATOR}; there may be more.")


def _print(history: VerificationHistory) -> None:
    kind = "decoy" if history.decoy else history.channel
    click.echo(
        f"{history.id}\t{history.status}\t{history.purpose}\t{kind}\t{history.number or '-'}\tclient {history.client}"
    )
    factor = f"\tfactor {history.factor}" if history.factor is not None else ""
    click.echo(f"  subject {history.subject or '-'}\treference {history.reference or '-'}{factor}")
    for event in history.events:
        details = "\t".join(each for each in (event.route, event.result, event.detail) if each)
        click.echo(f"  {rfc3339(event.at)}\t{event.type}\t{details}".rstrip())
