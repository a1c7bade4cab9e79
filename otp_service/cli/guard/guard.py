"""`guard`: what the guard against SMS pumping decided and why, its lists, and its history for `rehearse`."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from typing import Any

import click

from otp_service import phone
from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import Problems, with_database
from otp_service.cli.kit.times import Moment, Period, in_rfc3339
from otp_service.clock import Clock, rfc3339
from otp_service.config.settings import DatabaseSettings, StorageSettings
from otp_service.database.engine import Database
from otp_service.services.guard import lists
from otp_service.services.guard.for_operator import counter_reset, history
from otp_service.services.guard.for_operator import export as export_service
from otp_service.services.guard.for_operator import status as status_service
from otp_service.services.guard.for_operator.history import PastDecision, Seen
from otp_service.services.guard.for_operator.status import CeilingStatus, Count, GuardStatus
from otp_service.services.guard.lists import Entry

_DAY = 86400.0
_EVERYWHERE = "It counts within 5 seconds in every process."


@click.group()
def guard() -> None:
    """Show and correct what the guard against SMS pumping does."""


@guard.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def status(*, as_json: bool) -> None:
    """Show rules, what they blocked, money against ceilings, and expected takeovers."""
    settings = load_settings(StorageSettings)
    found = with_database(
        settings.database_url, lambda database, clock: status_service.show(database, clock, settings.policy.guard)
    )
    if as_json:
        click.echo(json.dumps(in_rfc3339(asdict(found))))
    else:
        _print_status(found)


def _print_status(found: GuardStatus) -> None:
    click.echo(f"guard\t{found.mode}\tstrictness {found.strictness:g}")
    for rule in found.rules:
        hour, day = _counted(rule.last_hour), _counted(rule.last_day)
        click.echo(f"rule {rule.rule}\t{rule.mode}\tlast hour: {hour}\tlast day: {day}")
    for ceiling in found.ceilings:
        unset = "" if ceiling.is_set else "\tnot in this policy"
        click.echo(f"ceiling {_scope(ceiling)}\t{ceiling.spent:.2f} of {ceiling.most:.2f} this {ceiling.per}{unset}")
    for each in found.takeovers:
        alarm = f"alarm above {found.takeovers_alarm:g}"
        click.echo(f"takeovers {each.client} {each.purpose}\t{each.expected:.2g} expected in the last hour, {alarm}")


def _counted(count: Count) -> str:
    return f"{count.blocked} blocked, {count.would_be_blocked} would be, {count.approved} approved after all"


def _scope(ceiling: CeilingStatus) -> str:
    return ceiling.scope if ceiling.of is None else f"{ceiling.scope} {ceiling.of}"


def _region(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and value.upper() not in phone.KNOWN_REGIONS:
        raise click.BadParameter("A country is an ISO 3166 code, for example CO.")
    return value and value.upper()


@guard.command()
@click.option("--since", type=Period(), default="24h", show_default=True, help="How far back: 30m, 24h, 7d.")
@click.option("--rule", type=click.Choice(history.ALL_RULES), help="Only what this rule decided.")
@click.option("--country", callback=_region, help="Only numbers of this country, as an ISO 3166 code.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON per decision.")
def decisions(since: float, rule: str | None, country: str | None, *, as_json: bool) -> None:
    """Show each request that a rule blocked or would have blocked, newest first, with what the rule saw."""

    async def work(database: Database, clock: Clock) -> int:
        found = history.list_decisions(database, since=clock.now() - since, rule=rule, country=country)
        return await (_print_as_json(found) if as_json else _print_decisions(found))

    if not with_database(_url(), work) and not as_json:
        click.echo("No decision matches.")


async def _print_as_json(found: AsyncIterator[Any]) -> int:
    count = 0
    async for each in found:
        click.echo(json.dumps(in_rfc3339(asdict(each))))
        count += 1
    return count


async def _print_decisions(found: AsyncIterator[PastDecision]) -> int:
    count = 0
    async for each in found:
        click.echo("\t".join(_columns(each)))
        count += 1
    return count


def _columns(each: PastDecision) -> tuple[str, ...]:
    approved = f"approved {rfc3339(each.approved_at)}" if each.approved_at is not None else "not approved"
    return (
        rfc3339(each.at),
        each.id,
        each.client,
        each.purpose,
        each.country,
        each.number,
        f"network {each.network or '-'}",
        f"{each.rule} ({each.mode})",
        each.action,
        approved,
        shown_reasons(each.reasons),
    )


def shown_reasons(reasons: list[Seen]) -> str:
    """Return what rules saw, and their limits."""
    return "; ".join(f"{each.rule}: {each.row} {each.seen:.3g} of {each.limit:.3g}" for each in reasons) or "-"


def _until_and_note(command: Any) -> Any:
    command = click.option("--note", metavar="TEXT", help="Why, for the list and the audit.")(command)
    command = click.option("--until", type=Moment(), help="When it ends: 2026-12-31 or 2026-12-31T18:00Z.")(command)
    return click.argument("prefix")(command)


@guard.command()
@_until_and_note
def allow(prefix: str, until: float | None, note: str | None) -> None:
    """Always let through numbers that begin with PREFIX (`+57300`). The longest prefix of a number counts."""
    _put(prefix, lists.ALLOW, until, note)
    click.echo(f"{phone.mask_prefix(phone.parse_prefix(prefix))} is let through. {_EVERYWHERE}")


@guard.command()
@_until_and_note
def deny(prefix: str, until: float | None, note: str | None) -> None:
    """Never send PINs to numbers that begin with PREFIX (`+57300`). The longest prefix of a number counts."""
    _put(prefix, lists.DENY, until, note)
    click.echo(f"No PIN is sent to {phone.mask_prefix(phone.parse_prefix(prefix))}. {_EVERYWHERE}")


def _put(text: str, verdict: str, until: float | None, note: str | None) -> None:
    prefix = phone.parse_prefix(text)

    async def work(database: Database, clock: Clock) -> None:
        if until is not None and until <= clock.now():
            raise Problems(["--until is in the past; nothing was changed."])
        replaced = await lists.put(database, clock, prefix, verdict, until=until, note=note)
        if replaced is not None:
            click.echo(f"It replaces: {_entry_line(replaced)}")

    with_database(_url(), work)


@guard.command()
@click.argument("prefix")
def forget(prefix: str) -> None:
    """Take PREFIX off the list of allowed and denied prefixes."""
    parsed = phone.parse_prefix(prefix)
    if not with_database(_url(), lambda database, clock: lists.remove(database, clock, parsed)):
        raise Problems([f"{phone.mask_prefix(parsed)} is not listed; `guard lists` shows what is."])
    click.echo(f"{phone.mask_prefix(parsed)} is not listed any more. {_EVERYWHERE}")


@guard.command("lists")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def show_lists(*, as_json: bool) -> None:
    """Show the prefixes that are allowed or denied now."""
    entries = with_database(_url(), lists.entries)
    if as_json:
        shown = [{**asdict(entry), "until": entry.until and rfc3339(entry.until)} for entry in entries]
        click.echo(json.dumps({"entries": in_rfc3339(shown)}))
        return
    for entry in entries:
        click.echo(f"{entry.prefix}\t{_entry_line(entry)}")
    if not entries:
        click.echo("No prefix is listed.")


def _entry_line(entry: Entry) -> str:
    until = f"until {rfc3339(entry.until)}" if entry.until is not None else "for ever"
    return f"{entry.verdict}\t{until}\t{entry.note or ''}".rstrip()


@guard.command()
@click.argument("prefix_or_client", metavar="[PREFIX|CLIENT]", required=False)
@click.option("--yes", is_flag=True, help="Do not ask before everything is forgotten.")
def reset(prefix_or_client: str | None, *, yes: bool) -> None:
    """Forget what is held against numbers (`+57300`), a client (name or id) or, without an argument, everybody."""
    if prefix_or_client is None and not yes:
        click.confirm("Forget everything that the guard has counted?", abort=True, err=True)
    of_numbers = prefix_or_client is not None and prefix_or_client.strip().startswith("+")
    prefix = phone.parse_prefix(prefix_or_client) if prefix_or_client and of_numbers else None
    client = None if of_numbers else prefix_or_client
    count = with_database(_url(), partial(counter_reset.reset, prefix=prefix, client=client))
    click.echo(f"Forgot {count} rows of counters.")


@guard.command()
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Only the last DAYS.")
def export(days: float | None) -> None:
    """Print past requests for `rehearse`, a line of JSON each, oldest first, with pseudonyms for numbers."""

    async def work(database: Database, clock: Clock) -> int:
        until = clock.now()
        since = until - days * _DAY if days is not None else 0.0
        return await _print_as_json(export_service.export(database, since=since, until=until))

    with_database(_url(), work)


def _url() -> str:
    return load_settings(DatabaseSettings).database_url
