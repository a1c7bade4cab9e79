"""What commands share: errors in plain words, and running asynchronous work on a database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from otp_service.clock import Clock
from otp_service.errors import Refusal, SettingsError, Unavailable
from otp_service.services.clients import ClientError
from otp_service.storage.engine import Database

T = TypeVar("T")


class Friendly(click.Group):
    """Turns the project's errors into one line each on standard error, and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise Problems(error.problems) from None
        except Unavailable as error:
            raise Problems([unavailable(error)]) from None
        except ClientError as error:
            raise Problems([str(error)]) from None
        except Refusal as error:
            raise Problems([error.detail]) from None


class Problems(click.ClickException):
    """Everything that is wrong, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def show(self, file: Any = None) -> None:
        """Prints every problem."""
        for problem in self.problems:
            click.echo(f"error: {problem}", err=True, file=file)


def unavailable(error: Unavailable) -> str:
    """What to do when the database is away."""
    if str(error) == "schema":
        return "The database has no schema yet; run `otp-service migrate`."
    return f"The database of OTP_DATABASE_URL cannot be used ({error}); check that it runs and the URL is right."


def with_database(url: str, work: Callable[[Database, Clock], Awaitable[T]]) -> T:
    """Runs `work` with an open database and its time."""

    async def run() -> T:
        database, clock = Database(url), Clock()
        try:
            await database.anchor(clock)
            return await work(database, clock)
        finally:
            database.close()

    return asyncio.run(run())
