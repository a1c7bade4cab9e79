"""`doctor`: what is wrong here, and what to do about it."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click

from otp_service import texts
from otp_service.app import make_context
from otp_service.cli.dev.folder import has_simulator, load_settings
from otp_service.cli.kit.running import missing_file, schema_problem, unavailable
from otp_service.clock import rfc3339
from otp_service.config.policy import test_numbers
from otp_service.config.settings import ServiceSettings
from otp_service.database.statements import AnyRow
from otp_service.errors import SettingsError, Unavailable
from otp_service.guard.rules import RULES
from otp_service.hashing import argon2
from otp_service.hashing.hasher import PinHasher
from otp_service.hashing.queue import Kind, Ticket
from otp_service.services.context import Context
from otp_service.services.delivery.sending import CARRIER_ROUTES
from otp_service.services.guard.for_operator import status
from otp_service.services.guard.for_operator.status import Count
from otp_service.services.operations import health, renumbering, rotation
from otp_service.services.operations.clock import synchronize
from otp_service.services.webhooks import webhooks
from otp_service.storage.webhooks import DISABLED

MOST_SKEW_SECONDS = 2.0
SLOW_HASH_SECONDS = 0.25
HASHED_FOR_SECONDS = 1.0
LONG_FAILING_SECONDS = 3600.0


@dataclass(frozen=True)
class Finding:
    """One result of the examination. `ok`: None if it works but deserves a look."""

    subject: str
    ok: bool | None
    detail: str


@click.command()
def doctor() -> None:
    """Check settings, database, clock, webhooks, guard, gateway and speed of hashing; exit 1 if something is wrong."""
    try:
        settings = load_settings(ServiceSettings)
    except SettingsError as error:
        for problem in error.problems:
            _print(Finding("settings", False, problem))
        raise SystemExit(1) from None
    _print(Finding("settings", True, "complete"))
    findings = asyncio.run(_examine(settings))
    if any(finding.ok is False for finding in findings):
        raise SystemExit(1)


async def _examine(settings: ServiceSettings) -> list[Finding]:
    ctx = make_context(settings)
    findings: list[Finding] = []
    try:
        for look in (_policy, _database, _gateway, _hashing):
            for finding in await look(ctx, settings):
                _print(finding)
                findings.append(finding)
    finally:
        await ctx.gateway.aclose()
        ctx.hasher.close()
        ctx.database.close()
    return findings


def _print(finding: Finding) -> None:
    mark = {True: "ok   ", False: "WRONG", None: "look "}[finding.ok]
    click.echo(f"{mark}  {finding.subject:<10} {finding.detail}")


async def _policy(_: Context, settings: ServiceSettings) -> list[Finding]:
    return list(_about_policy(settings)) or [Finding("policy", True, "complete")]


def _about_policy(settings: ServiceSettings) -> Iterator[Finding]:
    unnamed = [name for name, purpose in settings.policy.purposes.items() if purpose.brand == "Example"]
    if unnamed:
        detail = f"messages of {', '.join(unnamed)} say 'Example': set brand in OTP_CONFIG_FILE"
        yield Finding("policy", None, detail)
    if settings.ogangi_carrier is None and not settings.policy.carriers:
        yield Finding("policy", None, _without_carrier(settings))
    yield from _long_texts(settings)
    for number in test_numbers.active(settings.policy.test_numbers, time.time()):
        yield Finding("policy", None, f"the test number {number} has a fixed PIN, and nothing is sent to it")


def _without_carrier(settings: ServiceSettings) -> str:
    purposes = settings.policy.purposes.values()
    stuck = [purpose.name for purpose in purposes if CARRIER_ROUTES.issuperset(purpose.routes)]
    if not stuck:
        return "no carrier is known, so only the route mt is used: set OTP_OGANGI_CARRIER or [carriers]"
    return (
        f"no carrier is known and {', '.join(stuck)} has no route without one: every start is refused that gives no "
        "`carrier`. Set OTP_OGANGI_CARRIER or [carriers], or add the route mt"
    )


def _long_texts(settings: ServiceSettings) -> Iterator[Finding]:
    for purpose in settings.policy.purposes.values():
        for locale, template in purpose.text.items():
            pin = "0" * purpose.pin_length
            filled = texts.render(template, pin=pin, minutes=purpose.lifetime // 60, brand=purpose.brand)
            if texts.segments(filled) > 1:
                detail = f"{purpose.name} in {locale} takes {texts.segments(filled)} SMS: shorten the text"
                yield Finding("policy", None, detail)


async def _database(ctx: Context, settings: ServiceSettings) -> list[Finding]:
    if problem := missing_file(settings.database_url):
        return [Finding("database", False, problem)]
    try:
        revision = await health.writable_revision(ctx.database)
    except Unavailable as error:
        return [Finding("database", False, unavailable(error))]
    answers = Finding("database", True, f"{'SQLite' if ctx.database.is_sqlite else 'PostgreSQL'} answers")
    if problem := schema_problem(revision):
        return [answers, Finding("schema", False, problem)]
    return [
        answers,
        Finding("schema", True, f"current, revision {revision}"),
        await _secret_keys(ctx),
        await _factors(ctx),
        await _numbers(ctx),
        await _clock(ctx),
        *await _webhooks(ctx),
        *await _guard(ctx),
    ]


async def _secret_keys(ctx: Context) -> Finding:
    gone = [use for use in await rotation.status(ctx.database, ctx.vault) if use.needed and not use.configured]
    unreadable = [use.key_id for use in gone if use.reads]
    if unreadable:
        detail = (
            f"{', '.join(unreadable)} is still needed but not in OTP_SECRET_KEYS: put it back, then `secrets rewrap`"
        )
        return Finding("keys", False, detail)
    if gone:
        codes, devices = sum(use.recovery_codes for use in gone), sum(use.devices for use in gone)
        keys = ", ".join(use.key_id for use in gone)
        return Finding("keys", None, f"without {keys}, {codes} recovery codes and {devices} devices are not accepted")
    return Finding("keys", True, "every key that is needed is there")


async def _factors(ctx: Context) -> Finding:
    unusable = await rotation.unusable_factors(ctx.database, ctx.vault)
    if unusable:
        detail = (
            f"no key of OTP_SECRET_KEYS reads {unusable} of them: put the key back, or let their users add new ones"
        )
        return Finding("factors", False, detail)
    return Finding("factors", True, "every secret and number can be read")


async def _numbers(ctx: Context) -> Finding:
    former = await renumbering.renumber(ctx.database, ctx.vault, ctx.clock, lambda _: None, dry_run=True)
    if former:
        return Finding("numbers", None, f"{former} are in a form that their country has changed: `numbers renumber`")
    return Finding("numbers", True, "all are in their present form")


async def _clock(ctx: Context) -> Finding:
    await synchronize(ctx.database, ctx.clock)
    ahead = ctx.clock.wall_difference()
    detail = f"{ahead:+.3f} s from the database's"
    if abs(ahead) <= MOST_SKEW_SECONDS:
        return Finding("clock", True, detail)
    cure = "docs/operations.md, Time, says how to take it over" if ctx.database.is_sqlite else "run NTP"
    return Finding("clock", None, f"{detail}; harmless for PINs, but times will confuse: {cure}")


async def _webhooks(ctx: Context) -> list[Finding]:
    findings = []
    for client, row, failed in await webhooks.list_failed_for_operator(ctx.database):
        if trouble := _webhook_trouble(row, failed, ctx.clock.now()):
            cure = f"`webhooks show {row.id}` says why; once its receiver works, `webhooks replay {row.id}`"
            findings.append(Finding("webhooks", None, f"{row.id} of {client} {trouble}: {cure}"))
    return findings or [Finding("webhooks", True, "none is disabled, fails for long or has failed events")]


def _webhook_trouble(row: AnyRow, failed: int, now: float) -> str | None:
    if row.status == DISABLED:
        return "is disabled"
    if row.failing_since is not None and now - row.failing_since > LONG_FAILING_SECONDS:
        return f"has taken no event since {rfc3339(row.failing_since)}"
    return f"has failed events ({failed})" if failed else None


async def _guard(ctx: Context) -> list[Finding]:
    policy = ctx.policy.guard
    enforced = [rule for rule in RULES if policy.mode_of(rule) == "enforce"]
    if len(enforced) == len(RULES):
        return [Finding("guard", True, "enforced")]
    if policy.mode == "off":
        return [Finding("guard", None, 'off: set mode = "record" or "enforce" in [guard] against SMS pumping')]
    now = f"enforces only {', '.join(enforced)}" if enforced else "only records and refuses nobody"
    advice = f'{now}: set mode = "enforce" in [guard] once its decisions are right (docs/guard.md)'
    findings = [Finding("guard", None, advice)]
    counts = await status.report(ctx.database, ctx.clock)
    if counts is not None:
        findings.append(Finding("guard", None, _would_have_blocked(counts)))
    return findings


def _would_have_blocked(counts: Mapping[str, Count]) -> str:
    by_rule = [
        f"{count.would_be_blocked} by {rule} ({count.approved} approved after all)"
        for rule, count in counts.items()
        if count.would_be_blocked
    ]
    return f"in the last 7 days enforce would have blocked {', '.join(by_rule) or 'nothing'}"


async def _gateway(ctx: Context, settings: ServiceSettings) -> list[Finding]:
    probe = await ctx.gateway.probe(settings.ogangi_timeout)
    if not probe.ok and has_simulator(settings):
        return [Finding("gateway", False, "The simulated gateway of ./run does not run: start ./run.")]
    return [Finding("gateway", probe.ok, probe.detail)]


async def _hashing(ctx: Context, settings: ServiceSettings) -> list[Finding]:
    rate, alone = await _rate(ctx.hasher)
    cost = settings.argon2
    detail = (
        f"{rate:.0f} hashes/s on {ctx.hasher.threads} cores, {alone * 1000:.0f} ms each "
        f"(m={cost.memory_kib},t={cost.iterations},p={cost.lanes})"
    )
    if cost.is_weak:
        rated = Finding("argon2", None, f"{detail}: weaker than OWASP's settings; unset OTP_ALLOW_WEAK_ARGON2")
    elif alone > SLOW_HASH_SECONDS:
        rated = Finding("argon2", None, f"{detail}: slow; this machine is too small or too busy")
    else:
        rated = Finding("argon2", True, detail)
    return [rated, _argon2_build(), *_malloc()]


def _malloc() -> Iterator[Finding]:
    if not argon2.is_malloc_tuned():
        detail = "GLIBC_TUNABLES is not set: a hash takes about a tenth longer (docs/operations.md, Install)"
        yield Finding("argon2", None, detail)


def _argon2_build() -> Finding:
    if not argon2.is_index_build():
        return Finding("argon2", True, "not the package index's build: fast if it was built for this processor")
    if not argon2.has_avx2():
        return Finding("argon2", True, "the package index's build, made for any processor")
    detail = (
        "the package index's build, made for any processor: one built for this one makes 1.6 to 1.9 times as many "
        "hashes (docs/operations.md, Argon2 for this processor)"
    )
    return Finding("argon2", None, detail)


async def _rate(hasher: PinHasher) -> tuple[float, float]:
    """Return (hashes per second on all threads, seconds of one alone), the best of several rounds."""
    at_once = hasher.threads * 4
    alone = min([await _seconds(hasher, 1) for _ in range(3)])
    rounds = [await _seconds(hasher, at_once)]
    while sum(rounds) < HASHED_FOR_SECONDS:
        rounds.append(await _seconds(hasher, at_once))
    return at_once / min(rounds), alone


async def _seconds(hasher: PinHasher, count: int) -> float:
    """Return how long this number of hashes takes."""
    ticket = Ticket(Kind.CHECK, "doctor")
    begun = time.perf_counter()
    await asyncio.gather(*(hasher.compare_nothing(ticket) for _ in range(count)))
    return time.perf_counter() - begun
