"""The folder of `dev`: its secrets, its database, its settings for other commands. One process has it at a time."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from otp_service.cli.kit.running import Problems
from otp_service.config import environment
from otp_service.config.settings import DatabaseSettings, ServiceSettings, StorageSettings, load, variables_of
from otp_service.errors import SettingsError

DEFAULT = ".otp-dev"
LOOSER = 10
"""`dev` multiplies limits by this, because testers start many verifications of one number."""
_SETTINGS = "settings"

SettingsT = TypeVar("SettingsT", bound=DatabaseSettings)


class Folder:
    """A folder that this process alone works in until it ends."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Problems([f"The folder {path} cannot be made: {error.strerror}."]) from None
        if not os.access(path, os.W_OK | os.X_OK):
            raise Problems([f"The folder {path} cannot be written to; choose another one with --folder."])
        self.path = path.resolve()
        self._hold()

    def _hold(self) -> None:
        # The descriptor stays open, and the lock with it, until the process ends.
        lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            problem = f"Another `otp-service dev` uses {self.path}. Stop it, or choose another folder with --folder."
            raise Problems([problem]) from None

    @property
    def database_url(self) -> str:
        """Return the URL of the folder's SQLite database."""
        return f"sqlite:///{self.path / 'otp.db'}"

    def read(self, name: str) -> str:
        """Return the text of a file, empty if there is none."""
        path = self.path / name
        return path.read_text().strip() if path.exists() else ""

    def write(self, name: str, text: str) -> None:
        """Write a file that this account alone can read."""
        path = self.path / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")

    def kept(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(16)) -> str:
        """Return a secret of the folder, made at the first start."""
        if not self.read(name):
            self.write(name, make())
        return self.read(name)

    def write_settings(self, values: dict[str, str]) -> None:
        """Write the settings with which other commands work on this folder, by field name."""
        self.write(_SETTINGS, "\n".join(f"{environment.variable(name)}={value}" for name, value in values.items()))


def settings_in(path: Path, cls: type[SettingsT]) -> SettingsT:
    """Return the settings of the `dev` of a folder, whatever the environment says. Raises OSError if there is none."""
    wanted = {environment.variable(field): field for field in variables_of(cls)}
    kept = _kept_settings(path)
    with _saying_where(kept, path):
        return cls.of(**{wanted[name]: value for name, value in kept.items() if name in wanted})


def _kept_settings(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (path / _SETTINGS).read_text().splitlines())


@contextmanager
def _saying_where(kept: Mapping[str, str], path: Path) -> Iterator[None]:
    """Say of problems with the config file that its path is one that `dev` has kept."""
    name = environment.variable("config_file")
    try:
        yield
    except SettingsError as error:
        if name not in kept:
            raise
        cure = (
            f". The last ./run set it, and {path / _SETTINGS} keeps it: start ./run again, with another {name} or none."
        )
        problems = [each + cure if each.startswith(f"{name}: ") else each for each in error.problems]
        raise SettingsError(problems) from None


def load_settings(cls: type[SettingsT]) -> SettingsT:
    """Return the settings of the environment, or of `dev` in this folder if OTP_DATABASE_URL is not set.

    Raises SettingsError with every problem at once.
    """
    path = Path(DEFAULT)
    given, problems = environment.read(["database_url"])
    if given.get("database_url") or problems or not (path / _SETTINGS).exists():
        return load(cls)
    click.echo(f"OTP_DATABASE_URL is not set: using the database of `otp-service dev` in {DEFAULT}.", err=True)
    kept = _kept_settings(path)
    os.environ |= kept
    with _saying_where(kept, path):
        settings = load(cls)
    if isinstance(settings, StorageSettings):
        return settings.model_copy(update={"policy": settings.policy.looser(LOOSER)})
    return settings


def has_simulator(settings: ServiceSettings) -> bool:
    """Return whether the gateway of these settings is the simulated one of `dev` in this folder."""
    path = Path(DEFAULT)
    return (path / _SETTINGS).exists() and (
        _kept_settings(path)[environment.variable("ogangi_base_url")] == settings.ogangi_base_url
    )
