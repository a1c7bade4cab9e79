"""Where settings come from: the environment over `.env`, and `NAME_FILE` for a value that is kept in a file."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic_settings import BaseSettings, DotEnvSettingsSource

from otp_service.errors import SettingsError

PREFIX = "OTP_"


def variable(field: str) -> str:
    """The variable of a settings field: `countries` is `OTP_COUNTRIES`."""
    return PREFIX + field.upper()


def read(settings: type[BaseSettings], fields: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """By field: the text of what is set, and the problem with what cannot be read. Raises SettingsError for `.env`."""
    variables = {**_dotenv(settings), **os.environ}
    values: dict[str, str] = {}
    problems: dict[str, str] = {}
    for field in fields:
        try:
            value = _value(variable(field), variables)
        except ValueError as error:
            problems[field] = str(error)
        else:
            values |= {} if value is None else {field: value}
    return values, problems


def _dotenv(settings: type[BaseSettings]) -> dict[str, str]:
    try:
        found = DotEnvSettingsSource(settings, env_file=".env", env_file_encoding="utf-8", case_sensitive=True).env_vars
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f".env cannot be read as UTF-8 text: {_why(error)}"]) from None
    return {name: value for name, value in found.items() if value is not None}


def _value(name: str, variables: Mapping[str, str]) -> str | None:
    value, path = variables.get(name), variables.get(f"{name}_FILE")
    if not path:
        return value
    if value:
        raise ValueError(f"{name} and {name}_FILE are both set: leave one of them out")
    try:
        return Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        # Not the path: it is the secret itself when somebody mistook the two names.
        raise ValueError(f"{name}_FILE names a file that cannot be read: {_why(error)}") from None


def _why(error: OSError | ValueError) -> str:
    return error.strerror or "no reason given" if isinstance(error, OSError) else "not UTF-8 text"
