"""What all commands share: an error that nobody foresaw tells its type and place, never its text."""

import click
import pytest
from click.testing import CliRunner

from otp_service.cli import COMMANDS, main
from otp_service.cli.kit.running import Friendly
from otp_service.errors import OtpError, Refusal, SettingsError, Unavailable
from otp_service.services.clients import clients


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (SettingsError(["one", "two"]), ["error: one", "error: two"]),
        (Refusal("invalid_number", "It is no number."), ["error: It is no number."]),
        (clients.ClientError("There is no such client."), ["error: There is no such client."]),
        (Unavailable("schema"), ["error: The database has no schema yet; run `otp-service migrate`."]),
        (
            ValueError("the PIN is 123456"),
            ["error: Internal error: ValueError. Please report it."],
        ),
        (OtpError("hush"), ["error: Internal error: OtpError. Please report it."]),
    ],
)
def test_errors_are_lines_on_standard_error(error: Exception, lines: list[str]) -> None:
    @click.group(cls=Friendly, commands_at={}, invoke_without_command=True)
    def broken() -> None:
        raise error

    done = CliRunner().invoke(broken)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == lines


def test_the_place_of_an_unforeseen_error_is_named() -> None:
    @click.group(cls=Friendly, commands_at={}, invoke_without_command=True)
    def broken() -> None:
        clients._digest(5)  # type: ignore[arg-type]

    assert "AttributeError in otp_service.services.clients.clients._digest." in CliRunner().invoke(broken).stderr


def test_every_command_can_be_asked_for_help() -> None:
    listed = CliRunner().invoke(main, ["--help"]).stdout
    for name in COMMANDS:
        assert f"\n  {name} " in listed
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0
