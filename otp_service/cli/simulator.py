"""`simulator`: the simulated Campaign Manager alone."""

import os

import click
import uvicorn

from otp_service.cli.kit.running import end_cleanly_when_stopped, listening
from otp_service.observability import logs
from otp_service.server.loopback import LoopbackOnly
from otp_service.simulator.app import create_simulator

LOOPBACK = "127.0.0.1"
"""Nowhere else: it shows every PIN."""
SAMPLE_ACCOUNT = {
    "OTP_OGANGI_INSTANCE_ID": "43",
    "OTP_OGANGI_PUBLIC_KEY": "4BFB-4943-9546-9BB8964254F2",
    "OTP_OGANGI_PRIVATE_KEY": "FBF3-4310-909C-C4BBC26F886F",
}
"""The account that the provider's documentation uses in its samples; no real one."""
DELIVER_AFTER_SECONDS = 2.0
"""A handset's time to take a message, for people who watch."""


@click.command()
@click.option("--port", default=8001, show_default=True, type=click.IntRange(1, 65535))
def simulator(port: int) -> None:
    """Run the simulated Campaign Manager: nothing is sent, GET /messages lists what it "delivered".

    It takes the account of the OTP_OGANGI_... variables, else that of the provider's samples.
    """
    end_cleanly_when_stopped()
    listener = listening(LOOPBACK, port)
    account = {name: os.environ.get(name) or sample for name, sample in SAMPLE_ACCOUNT.items()}
    address = f"http://{LOOPBACK}:{port}"
    click.echo(f"messages   {address}/\nsettings   OTP_OGANGI_BASE_URL={address}/mmc")
    click.echo("           OTP_OGANGI_SENDER=12345\n           OTP_OGANGI_CARRIER=Simulated")
    if account == SAMPLE_ACCOUNT:
        for name, value in account.items():
            click.echo(f"           {name}={value}")
    logs.configure("warning", "console")
    app = create_simulator(
        account["OTP_OGANGI_INSTANCE_ID"],
        account["OTP_OGANGI_PUBLIC_KEY"],
        account["OTP_OGANGI_PRIVATE_KEY"],
        deliver_after=DELIVER_AFTER_SECONDS,
    )
    uvicorn.Server(uvicorn.Config(LoopbackOnly(app), log_config=None, access_log=False)).run([listener])
