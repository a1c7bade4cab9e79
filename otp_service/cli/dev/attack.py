"""`attack`: a small pumping attack against the running `dev`, and what its guard saw and did."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click

from otp_service.cli.dev.folder import DEFAULT, settings_in
from otp_service.cli.guard.guard import shown_reasons
from otp_service.cli.kit.running import Problems, with_database
from otp_service.clock import Clock
from otp_service.config.settings import StorageSettings
from otp_service.database.engine import Database
from otp_service.guard.keys import BLOCK_DIGITS
from otp_service.services.guard.for_operator import history
from otp_service.services.guard.for_operator.history import PastDecision
from otp_service.vault import Vault

HONEST, BOT = 4, 12
PACE_SECONDS = 0.15
"""Between two requests, so that the guard has counted the one before, and a person can follow."""
TIMEOUT_SECONDS = 30.0
RECENT_SECONDS = 60.0
"""The clock of `dev` and ours can differ a little. The numbers are new, so no older decision is about them."""

_AFTER = """
What to do next:
  ./run guard status                          what each rule did, and what is spent
  ./run guard decisions --since 1h            each decision with its reasons
  ./run guard export > events.jsonl           the same requests, decided again as if enforced:
  ./run rehearse events.jsonl
  ./run guard reset --yes                     forgets this attack, so that ./run attack begins anew
docs/guard.md explains the rules."""
_ENFORCE = """
To enforce the guard, write these two lines to guard.toml:
  [guard]
  mode = "enforce"
Then stop ./run, start it with OTP_CONFIG_FILE=guard.toml ./run, and repeat ./run attack."""


@dataclass(frozen=True)
class _Answer:
    """An answer of the API or the simulator."""

    status: int
    body: Any = field(repr=False)


@dataclass(frozen=True)
class _Requested:
    """What the guard decided about a request, None if nothing; `is_limited`: a limit or a ceiling refused it."""

    decision: PastDecision | None
    is_limited: bool


@dataclass(frozen=True)
class Dev:
    """The running `dev`: where it listens, its key, and what its database can be read with."""

    api: str
    simulator: str
    api_key: str = field(repr=False)
    settings: StorageSettings

    def start(self, to: str) -> _Answer:
        """Start a verification."""
        return self._call("POST", self.api, "/v1/verifications", {"to": to, "purpose": "signup"})

    def check(self, verification_id: str, pin: str) -> _Answer:
        """Check a PIN."""
        return self._call("POST", self.api, f"/v1/verifications/{verification_id}/checks", {"pin": pin})

    def pin(self, to: str) -> str | None:
        """Return the PIN of the newest message to a number; None if there is no message."""
        messages = self._call("GET", self.simulator, f"/messages?to={quote(to)}").body
        return str(messages[0]["pin"]) if messages else None

    def require_ready(self) -> None:
        """Raise Problems if it does not run."""
        if self._call("GET", self.api, "/readyz").status != 200:
            raise Problems(["`otp-service dev` is not ready; see what it prints."])

    def _call(self, method: str, address: str, path: str, body: Any = None) -> _Answer:
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        connection = HTTPConnection(urlsplit(address).netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return _Answer(response.status, json.loads(response.read()))
        except TimeoutError:
            problem = f"`otp-service dev` did not answer in {TIMEOUT_SECONDS:g} s; see what it prints."
            raise Problems([problem]) from None
        except ValueError:
            problem = f"What answers at {address} is not `otp-service dev`. Stop ./run and start it again."
            raise Problems([problem]) from None
        except (OSError, HTTPException):
            raise _not_running() from None
        finally:
            connection.close()


def _not_running() -> Problems:
    return Problems(["`otp-service dev` does not run here. Start it with ./run, then repeat ./run attack beside it."])


@click.command()
@click.option("--folder", default=DEFAULT, show_default=True, type=click.Path(path_type=Path, file_okay=False))
def attack(folder: Path) -> None:
    """Play a small SMS pumping attack against the running `dev` and show what its guard saw and did."""
    dev = _running_in(folder)
    dev.require_ready()
    with_database(dev.settings.database_url, lambda database, clock: _play(dev, database, clock))


def _running_in(folder: Path) -> Dev:
    try:
        url, simulator, api_key = ((folder / name).read_text().strip() for name in ("url", "simulator-url", "api-key"))
    except OSError:
        raise _not_running() from None
    return Dev(url, simulator, api_key, settings_in(folder, StorageSettings))


async def _play(dev: Dev, database: Database, clock: Clock) -> None:
    vault = Vault(dev.settings.keys)
    click.echo(f"{HONEST} people sign up, each with a number of their own, and type the PIN they get.")
    for to in _honest_numbers():
        await _request(dev, database, vault, clock, to, answers=True)
    click.echo("\nA bot asks for PINs to numbers in a row, whose operator shares what each SMS earns. It types none.")
    click.echo("In brackets: the rule, its row of counters, what the row would hold with the message, and the limit.")
    attacked = [await _request(dev, database, vault, clock, to, answers=False) for to in _numbers_in_a_row()]
    click.echo("\n".join(_summary(attacked)))


def _summary(attacked: list[_Requested]) -> Iterator[str]:
    actions = [each.decision.action for each in attacked if each.decision is not None]
    recorded, limited = actions.count("sent"), sum(each.is_limited for each in attacked)
    yield f"\nThe guard blocked {len(actions) - recorded} of the bot's {BOT} requests."
    if recorded:
        yield f"It let {recorded} through that it would block if it were enforced."
        yield _ENFORCE
    if limited:
        yield f"A limit or a ceiling refused {limited}. `guard reset` gives no money back: wait, or raise the ceiling."
    if not actions and not limited:
        yield "No rule spoke against them: ./run guard status shows which rules are on."
    yield _AFTER


def _honest_numbers() -> list[str]:
    return [f"+573{secrets.choice(('00', '10', '15', '20'))}{secrets.randbelow(10**7):07d}" for _ in range(HONEST)]


def _numbers_in_a_row() -> list[str]:
    first = secrets.randbelow(10**5) * 100
    return [f"+57301{first + index:07d}" for index in range(BOT)]


async def _request(dev: Dev, database: Database, vault: Vault, clock: Clock, to: str, *, answers: bool) -> _Requested:
    """Ask for a PIN, check it if the person answers, and print a line."""
    since = clock.now() - RECENT_SECONDS
    started = dev.start(to)
    decision = await history.newest_of_number(database, vault, to, since)
    outcome = _outcome(started, decision)
    pin = dev.pin(to) if answers and started.status == 201 else None
    if pin is not None:
        outcome += f", {dev.check(started.body['id'], pin).body.get('result')}"
    # As `guard decisions` shows numbers.
    click.echo(f"  {to[:-BLOCK_DIGITS]}{'*' * BLOCK_DIGITS}  {started.status}  {outcome}")
    await asyncio.sleep(PACE_SECONDS)
    return _Requested(decision, is_limited=started.status == 429)


def _outcome(started: _Answer, decision: PastDecision | None) -> str:
    if decision is None:
        return "sent" if started.status == 201 else f"{started.body.get('code')}: {started.body.get('detail')}"
    why = shown_reasons(decision.reasons) if decision.reasons else decision.rule
    if decision.action == "sent":
        return f"sent; would be blocked ({why})"
    return f"blocked ({why})" if decision.action == "refused" else f"blocked, answered with a decoy ({why})"
