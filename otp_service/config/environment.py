"""Reads settings: environment variables override `.env`; `NAME_FILE` names a file with the value of `NAME`."""

import errno
import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from otp_service.errors import SettingsError

PREFIX = "OTP_"
MOST_BYTES = 64 * 1024
"""Bounds the memory that a wrong path can take."""


def variable(field: str) -> str:
    """Return the variable of a settings field: `OTP_COUNTRIES` for `countries`."""
    return PREFIX + field.upper()


def read(fields: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return, by field, the values and the problems with unreadable files. Raises SettingsError for `.env`."""
    variables = {**_dotenv(Path(".env")), **os.environ}
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


def _dotenv(path: Path) -> dict[str, str]:
    try:
        text = _text(path) if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f".env: cannot read the file: {_why(error)}"]) from None
    # Not interpolated: a secret can contain ${...}.
    found = dotenv_values(stream=io.StringIO(text, newline=None), interpolate=False)
    return {name: value for name, value in found.items() if value is not None}


def _value(name: str, variables: Mapping[str, str]) -> str | None:
    value, path = variables.get(name), variables.get(f"{name}_FILE")
    if not path:
        return value
    if value:
        raise ValueError(f"{name} and {name}_FILE are both set; remove one")
    try:
        return _text(Path(path)).removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        # Without the path: if somebody mixed up the two names, it is the secret itself.
        raise ValueError(f"{name}_FILE: cannot read the file: {_why(error)}") from None


def _text(path: Path) -> str:
    # Reading a pipe would wait for its writer.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise OSError(errno.EFBIG, "more than 64 KiB")
    return raw.decode("utf-8-sig")  # Windows editors write a byte order mark


def _why(error: OSError | ValueError) -> str:
    return error.strerror or "no reason given" if isinstance(error, OSError) else "not UTF-8 text"
