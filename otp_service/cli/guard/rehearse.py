"""`otp-service rehearse`: what the guard would have decided in the past."""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import click

from otp_service import phone
from otp_service.cli.kit.running import Problems
from otp_service.config.policy.policy import load_policy
from otp_service.errors import Refusal
from otp_service.guard.rehearsal import Event, Rehearsal, Summary, Tally
from otp_service.guard.requests import Request
from otp_service.guard.rules import Decision
from otp_service.services.limits.limits import address_key

_KEYS = frozenset({"t", "to", "ip", "client", "approved_after"})
_NO_SECONDS = 1e11
"""A time from here on is in milliseconds."""
_LINES_BETWEEN_PROGRESS = 2000
_COLUMNS = ("asked", "sent", "blocked", "approved_among_blocked", "money_sent", "money_saved")


@click.command()
@click.argument("events", type=click.File("rb"), metavar="EVENTS.jsonl")
@click.option("--config", type=click.Path(path_type=Path), help="A policy file; without it, the shipped policy.")
@click.option("--json", "as_json", is_flag=True, help="Print a line per event, then the summary, as JSON.")
def rehearse(events: BinaryIO, config: Path | None, *, as_json: bool) -> None:
    """Decide past requests as if the guard were enforced. Sends nothing and needs no database.

    Each line of EVENTS.jsonl (`-`: standard input) is a request, in the order of their times: {"t": seconds,
    "to": E.164, "ip": text or null, "client": text, "approved_after": seconds or null}.
    """
    guard = load_policy(config).guard
    off = frozenset(rule for rule, mode in guard.rules.items() if mode == "off")
    rehearsal = Rehearsal(guard.strictness, off, guard.price_of)
    for event in _read(events):
        decision = rehearsal.decide(event)
        if as_json:
            click.echo(json.dumps(_decided(event, decision)))
    if as_json:
        click.echo(json.dumps(_summed(rehearsal.summary)))
    else:
        click.echo("\n".join(_table(rehearsal.summary)))


def _read(lines: Iterable[bytes]) -> Iterator[Event]:
    before = -math.inf
    for count, line in enumerate(_with_progress(lines), 1):
        try:
            event = _event(line)
        except ValueError as error:
            raise Problems([f"line {count}: {error}"]) from None
        if event.request.at < before:
            raise Problems([f"line {count}: t is earlier than in the line before; sort the lines by t"])
        before = event.request.at
        yield event


def _with_progress(lines: Iterable[bytes]) -> Iterator[bytes]:
    shown = sys.stderr.isatty()
    for count, line in enumerate(lines, 1):
        yield line
        if shown and count % _LINES_BETWEEN_PROGRESS == 0:
            click.echo(f"\r{count} lines", err=True, nl=False)
    if shown:
        click.echo("\r", err=True, nl=False)


def _event(line: bytes) -> Event:
    """Return the event of a line. Raises ValueError that says what is wrong, without the number."""
    fields = _fields(line)
    if unknown := sorted(fields.keys() - _KEYS):
        raise ValueError(f"unknown key {json.dumps(unknown[0])}")
    if missing := sorted(_KEYS - fields.keys()):
        raise ValueError(f"{missing[0]} is missing")
    at = _seconds("t", fields["t"])
    if at >= _NO_SECONDS:
        raise ValueError("t must be in seconds, not milliseconds")
    client = fields["client"]
    if not isinstance(client, str) or not client:
        raise ValueError("client must be a text")
    number = _number(fields["to"])
    after = fields["approved_after"]
    request = Request(at, client, number.e164, number.region, _address(fields["ip"]))
    return Event(request, None if after is None else _seconds("approved_after", after))


def _fields(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line.decode("utf-8"), object_pairs_hook=_unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError("not JSON in UTF-8") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def _seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number of seconds")
    return float(value)


def _number(value: object) -> phone.PhoneNumber:
    if not isinstance(value, str):
        raise ValueError("to must be a text")
    try:
        return _parsed(value)
    except Refusal as refusal:
        raise ValueError(f"to: {refusal.detail}") from None


_parsed = lru_cache(maxsize=50_000)(phone.parse)
"""People return and ask again, and parsing takes a quarter of the time."""


def _address(value: object) -> str | None:
    if value is None:
        return None
    try:
        return address_key(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("ip must be an IP address or null") from None


def _decided(event: Event, decision: Decision) -> dict[str, Any]:
    return {
        "t": event.request.at,
        "to": event.request.number,
        "decision": "block" if decision.blocked else "send",
        "reasons": [
            {
                "rule": reason.rule,
                "row": reason.key.kind,
                "seen": round(reason.seen, 2),
                "limit": round(reason.limit, 2),
            }
            for reason in decision.reasons
        ],
    }


def _summed(summary: Summary) -> dict[str, Any]:
    return {
        **_values(summary.total),
        "rules": {rule: _values(tally) for rule, tally in summary.rules.items()},
        "countries": {country: _values(tally) for country, tally in sorted(summary.countries.items())},
    }


def _values(tally: Tally) -> dict[str, float]:
    money = (round(tally.spent, 4), round(tally.saved, 4))
    return dict(zip(_COLUMNS, (tally.asked, tally.sent, tally.blocked, tally.lost, *money), strict=True))


def _table(summary: Summary) -> Iterator[str]:
    yield _row("", ("asked", "sent", "blocked", "honest lost", "money sent", "money saved"))
    yield _row("all", _cells(summary.total))
    for title, tallies in (("rule", summary.rules), ("country", summary.countries)):
        yield ""
        for name, tally in sorted(tallies.items(), key=lambda item: -item[1].blocked):
            yield _row(f"{title} {name}", _cells(tally))


def _cells(tally: Tally) -> tuple[str, ...]:
    counts = (tally.asked, tally.sent, tally.blocked, tally.lost)
    return (*map(str, counts), f"{tally.spent:.2f}", f"{tally.saved:.2f}")


def _row(name: str, cells: Iterable[str]) -> str:
    return f"{name:20}" + "".join(f"{cell:>13}" for cell in cells)
