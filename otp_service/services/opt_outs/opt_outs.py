"""Opt-outs over the API, which an application adds and lifts; the person by SMS has the last word."""

from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.gateways.base import NoReply
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.storage import numbers, opt_outs
from otp_service.storage.queues import campaign_messages, notifications
from otp_service.vault import Vault

log = structlog.get_logger("otp_service.opt_outs")

LOOKUP_SECONDS = 3.0
"""How long a lookup waits for the gateway."""
SETTLE_SECONDS = 3.0
"""How long an opt-out of a client waits before the campaign platform gets it. A client that lifts it at once must not
meet the platform's echo, which counts as the person's own STOP then."""


@dataclass(frozen=True)
class OptOut:
    """Whether a number has opted out. `source`: `user` or `client`, `since`: seconds since the epoch; or both None."""

    to: str = field(repr=False)
    opted_out: bool
    source: str | None
    since: float | None


@dataclass(frozen=True)
class LookedUp(OptOut):
    """The same with `gateway_blacklisted`: whether the gateway itself blocks the number, None if it did not answer."""

    gateway_blacklisted: bool | None


async def add(ctx: Context, client_id: str, to: str, idempotent: IdempotentRequest | None = None) -> OptOut:
    """Opt a number out of all messages of all clients. Refusal: `invalid_number`."""
    e164 = phone.parse(to).e164

    def step(tx: Connection) -> AnyRow | None:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        number_id = numbers.upsert(tx, ctx.vault, e164, seen_until=now)
        if opt_outs.add(tx, number_id, client_id=client_id, now=now):
            notifications.fail_queued(tx, number_id, reason="opted_out", now=now)
            _report(tx, number_id, ctx.policy.campaign.stop, now, after=SETTLE_SECONDS)
        return opt_outs.read(tx, number_id)

    async with ctx.concurrency.turn(client_id, e164):
        row = await ctx.database.write(step)
    log.info("opted_out", to=phone.mask(e164), source=row.source if row else None)
    return _shown(e164, row)


async def remove(ctx: Context, client_id: str, to: str, idempotent: IdempotentRequest | None = None) -> OptOut:
    """Lift the opt-out of a client. Refusals: `invalid_number`; `user_opted_out` after a STOP by SMS."""
    e164 = phone.parse(to).e164

    def step(tx: Connection) -> AnyRow | None:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        if numbers.find_id(tx, ctx.vault, e164) is None:
            return None
        number_id = numbers.upsert(tx, ctx.vault, e164, seen_until=now)
        if opt_outs.lift(tx, number_id, now=now, source=opt_outs.CLIENT):
            _report(tx, number_id, ctx.policy.campaign.start, now)
        elif opt_outs.is_out(tx, number_id):
            raise Refusal(
                "user_opted_out",
                "The user texted STOP. Only the user, by texting START, or an operator can remove this opt-out.",
            )
        return opt_outs.read(tx, number_id)

    async with ctx.concurrency.turn(client_id, e164):
        row = await ctx.database.write(step)
    ctx.wakes.campaign.set()
    log.info("opt_out_lifted", to=phone.mask(e164), source="client")
    return _shown(e164, row)


async def look_up(ctx: Context, client_id: str, to: str) -> LookedUp:
    """Return what is known of a number here and at the gateway. Refusal: `invalid_number`."""
    e164 = phone.parse(to).e164
    with ctx.concurrency.of_client(client_id):
        said = await ctx.gateway.is_blacklisted(e164, min(ctx.gateway_timeout, LOOKUP_SECONDS))
    ctx.gateway_health.record_read("isUserInBlackList", said)
    blocked = None if isinstance(said, NoReply) else said
    found = await show(ctx.database, ctx.vault, e164)
    return LookedUp(found.to, found.opted_out, found.source, found.since, blocked)


async def show(database: Database, vault: Vault, e164: str) -> OptOut:
    """Return what is known of a number here."""
    return _shown(e164, await database.read(lambda tx: opt_outs.find(tx, numbers.lookup_digests(vault, e164))))


async def lift(database: Database, vault: Vault, clock: Clock, keyword: str, e164: str) -> bool:
    """Lift an opt-out, whoever asked for it; return False if there is none. `keyword`: what the platform gets."""

    def step(tx: Connection) -> bool:
        number_id = numbers.find_id(tx, vault, e164)
        if number_id is None or not opt_outs.is_out(tx, number_id):
            return False
        now = clock.now()
        number_id = numbers.upsert(tx, vault, e164, seen_until=now)
        lifted = opt_outs.lift(tx, number_id, now=now)
        if lifted:
            _report(tx, number_id, keyword, now)
        return lifted

    return await database.write(step)


def opted_out(verification_id: str | None = None) -> Refusal:
    """Return the refusal to send to a number that opted out. `verification_id`: of what was started before."""
    detail = "This number has opted out, so nothing was sent."
    return Refusal("opted_out", detail, verification_id=verification_id)


def add_by_user(tx: Connection, number_id: int, now: float) -> None:
    """Opt a number out whose person texted STOP, which the platform knows. The caller has locked the number's row."""
    opt_outs.add_by_user(tx, number_id, now)
    notifications.fail_queued(tx, number_id, reason="opted_out", now=now)
    campaign_messages.drop_waiting(tx, number_id)


def lift_by_user(tx: Connection, number_id: int, now: float, *, source: str | None = None) -> None:
    """Lift the opt-out of a number whose person texted START. The caller has locked the number's row.

    `source`: lift only an opt-out of theirs.
    """
    opt_outs.lift(tx, number_id, now=now, source=source)
    campaign_messages.drop_waiting(tx, number_id)
    # A STOP that comes now is the person's, even if an earlier one of ours never came back.
    campaign_messages.expect_no_echo(tx, number_id, now)


def _report(tx: Connection, number_id: int, keyword: str, now: float, *, after: float = 0.0) -> None:
    """Queue a keyword for the campaign platform."""
    if keyword:
        campaign_messages.add(tx, number_id, keyword, now, due_at=now + after)


def _shown(e164: str, row: AnyRow | None) -> OptOut:
    if row is None or not row.opted_out:
        return OptOut(e164, opted_out=False, source=None, since=None)
    return OptOut(e164, opted_out=True, source=row.source, since=row.since)
