"""`secrets generate`, `rewrap`, `status`."""

import sys

import click

from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import with_database
from otp_service.config.settings import StorageSettings
from otp_service.services.operations import rotation
from otp_service.vault import Vault, generate_key_entry


@click.group("secrets")
def secret_keys() -> None:
    """Manage the secret keys of OTP_SECRET_KEYS."""


@secret_keys.command()
def generate() -> None:
    """Print a new entry for OTP_SECRET_KEYS."""
    click.echo(generate_key_entry())


@secret_keys.command()
def rewrap() -> None:
    """Re-index and re-encrypt under the first key what older keys wrote."""
    settings = load_settings(StorageSettings)
    vault = Vault(settings.keys)

    def progress(done: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done} values rewritten", err=True, nl=False)

    done = with_database(
        settings.database_url, lambda database, clock: rotation.rewrap(database, vault, clock, progress)
    )
    click.echo(f"{done} values are now under {vault.writing_key_id}; `otp-service secrets status` says what is left.")


@secret_keys.command()
def status() -> None:
    """Show which keys are still needed."""
    settings = load_settings(StorageSettings)
    vault = Vault(settings.keys)
    uses = with_database(settings.database_url, lambda database, _: rotation.status(database, vault))
    for use in uses:
        where = ", ".join(
            text
            for text, count in (
                ("writes", use.key_id == vault.writing_key_id),
                ("the number index", use.indexes),
                (f"{use.numbers} numbers", use.numbers),
                (f"{use.live_pins} PIN hashes", use.live_pins),
                (f"{use.answers} saved answers", use.answers),
                (f"{use.messages} texts and ids of messages", use.messages),
                (f"{use.webhooks} secrets of webhooks", use.webhooks),
                (f"{use.totp_secrets} secrets of authenticator apps", use.totp_secrets),
                (f"{use.recovery_codes} recovery codes", use.recovery_codes),
                (f"{use.devices} devices", use.devices),
            )
            if count
        )
        verdict = "needed" if use.needed or use.key_id == vault.writing_key_id else "not used"
        missing = "" if use.configured else "  MISSING in OTP_SECRET_KEYS: put it back"
        click.echo(f"{use.key_id}\t{verdict}\t{where}{missing}")
