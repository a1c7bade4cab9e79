"""What commands share: errors in plain words, and running asynchronous work on a database."""

import asyncio
import errno
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.errors import OtpError, Refusal, SettingsError, Unavailable
from otp_service.server.sockets import listen
from otp_service.services.clients.clients import ClientError
from otp_service.services.operations.clock import synchronize
from otp_service.storage import schema

T = TypeVar("T")

_SQLITE = "sqlite:///"


class Friendly(click.Group):
    """A group of commands that prints each error as one line on standard error and exits with 1.

    It imports a command when it is used: `clients list` needs no web server. `commands_at`: name -> `file:function`.
    """

    def __init__(self, *args: Any, commands_at: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which people need them."""
        return list(self._commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._commands_at:
            return None
        file, _, function = self._commands_at[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"otp_service.cli.{file}"), function)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and print its errors."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except BrokenPipeError:  # as under `| head`: nobody reads on
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - or the interpreter complains when it ends
            raise SystemExit(1) from None
        except OtpError as error:
            raise Problems(_sentences(error)) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, its text must not be printed
            raise Problems([_broken(error)]) from None


class Problems(click.ClickException):
    """Problems that end a command, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def show(self, file: Any = None) -> None:
        """Print every problem."""
        for problem in self.problems:
            click.echo(f"error: {problem}", err=True, file=file)


def _sentences(error: OtpError) -> list[str]:
    if isinstance(error, SettingsError):
        return error.problems
    if isinstance(error, Unavailable):
        return [unavailable(error)]
    if isinstance(error, Refusal):
        return [error.detail]
    return [str(error)] if isinstance(error, ClientError) else [_broken(error)]


def _broken(error: Exception) -> str:
    """Return the types and the place of an unexpected error: its message could contain secrets."""
    names = [type(error).__qualname__]
    original = getattr(error, "orig", None)  # the driver's, inside SQLAlchemy's
    if isinstance(original, Exception):
        names.append(type(original).__qualname__)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    places = [f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}" for frame in frames]
    ours = [place for place in places if place.startswith("otp_service.") and not place.startswith(f"{__name__}.")]
    place = f" in {ours[-1]}" if ours else ""
    return f"Internal error: {', '.join(names)}{place}. Please report it."


def unavailable(error: Unavailable) -> str:
    """Return what to do if the database is unavailable."""
    if str(error) == "schema":
        return "The database has no schema yet; run `otp-service migrate`."
    if str(error) in ("SQLITE_READONLY", "ReadOnlySqlTransaction"):
        return "The database of OTP_DATABASE_URL is read-only; let this account write to it."
    if str(error) in ("SQLITE_BUSY", "LockNotAvailable"):
        return "Somebody else holds a lock of the database of OTP_DATABASE_URL; nothing was changed, try again."
    return f"The database of OTP_DATABASE_URL cannot be used ({error}); check that it runs and the URL is right."


def schema_problem(found: str | None) -> str | None:
    """Return what to do about the schema's revision, None if it is current."""
    if found is None:
        return "The database has no schema yet; run `otp-service migrate`."
    if not schema.is_current(found):
        return "The schema of the database is older than this release needs; run `otp-service migrate`."
    return None


def missing_file(url: str) -> str | None:
    """Return what to do if the SQLite file does not exist: only `migrate` may create one."""
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
        return "The database file of OTP_DATABASE_URL does not exist; check the path, then run `otp-service migrate`."
    return None


def with_database(url: str, work: Callable[[Database, Clock], Awaitable[T]]) -> T:
    """Run `work` with an open database whose schema is current, and its clock; return its result."""
    if problem := missing_file(url):
        raise Problems([problem])

    async def run() -> T:
        database, clock = Database(url, patient=True), Clock()
        try:
            if problem := schema_problem(await database.read(schema.revision)):
                raise Problems([problem])
            await synchronize(database, clock)
            return await work(database, clock)
        finally:
            database.close()

    return asyncio.run(run())


def listening(host: str, port: int, option: str = "--port") -> socket.socket:
    """Return a listening socket. Raises Problems if the port cannot be used. `option`: the one that sets the port."""
    try:
        return listen(host, port)
    except OSError as error:
        # Python adds the address to the reason.
        reason = (error.strerror or type(error).__name__).partition(" (while")[0]
        cures = {
            errno.EADDRINUSE: f"Stop the program that uses it, or choose another port with {option}.",
            errno.EACCES: f"Choose a port above 1023 with {option}.",
        }
        cure = cures.get(error.errno or 0, "Choose an address of this machine with --host.")
        raise Problems([f"Cannot listen on port {port} of {host}: {reason}. {cure}"]) from None


def end_cleanly_when_stopped() -> None:
    """Exit with 0 on SIGINT, SIGTERM and SIGHUP; uvicorn raises the signal again after its shutdown."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


def ends_when_hung_up() -> bool:
    """Return whether SIGHUP means that the terminal was closed, which asks for a stop like SIGTERM."""
    return sys.stdin is not None and sys.stdin.isatty()


def dump_no_core() -> None:
    """Disable core dumps, for child processes as well: the memory contains keys and PINs."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
