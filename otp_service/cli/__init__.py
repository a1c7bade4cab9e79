"""The command `otp-service`: one file per noun, no rules here."""

import click

from otp_service import __version__
from otp_service.cli.budgets import budgets
from otp_service.cli.clients import clients
from otp_service.cli.database import migrate, restored
from otp_service.cli.dev import dev
from otp_service.cli.doctor import doctor
from otp_service.cli.running import Friendly
from otp_service.cli.secret_keys import secret_keys
from otp_service.cli.serve import serve
from otp_service.cli.simulator import simulator


@click.group(cls=Friendly)
@click.version_option(__version__)
def main() -> None:
    """PIN verification of phone numbers. Settings are OTP_... variables; README.md lists them."""


for command in (dev, serve, migrate, restored, clients, secret_keys, budgets, simulator, doctor):
    main.add_command(command)
