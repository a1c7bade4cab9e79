"""The command `otp-service`: one file per noun, no rules here."""

import click

from otp_service import __version__
from otp_service.cli.kit.running import Friendly

COMMANDS = {
    "dev": "dev.command:dev",
    "attack": "dev.attack:attack",
    "serve": "serve:serve",
    "migrate": "database:migrate",
    "restored": "database:restored",
    "clients": "clients:clients",
    "secrets": "secret_keys:secret_keys",
    "verifications": "verifications:verifications",
    "factors": "factors:factors",
    "budgets": "numbers:budgets",
    "numbers": "numbers:numbers",
    "opt-outs": "opt_outs:opt_outs",
    "webhooks": "webhooks:webhooks",
    "guard": "guard.guard:guard",
    "rehearse": "guard.rehearse:rehearse",
    "simulator": "simulator:simulator",
    "gateway": "gateway:gateway",
    "doctor": "doctor:doctor",
}
"""Name -> `file:function` of this package."""


@click.group(cls=Friendly, commands_at=COMMANDS)
@click.version_option(__version__, prog_name="otp-service")
def main() -> None:
    """PIN verification of phone numbers. Settings are OTP_... variables, listed in docs/configuration.md."""
