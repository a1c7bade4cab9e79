"""The limits of `[limits]`: a send reserves a unit of each, all or none, and releases them if nothing was sent."""

import ipaddress
import math
from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy.engine import Connection

from otp_service.config.policy.rates import Failures, Rate
from otp_service.errors import Quota, Refusal
from otp_service.services.context import Context
from otp_service.storage.limits import buckets
from otp_service.storage.limits.buckets import Reserved, Unit

PER_NUMBER = "sends_per_number"
PAUSE = "pause_per_number"
PER_USER_IP = "sends_per_user_ip"
PER_CLIENT = "sends_per_client"
PER_NOTIFIED = "notifications_per_number"
PER_NOTIFYING = "notifications_per_client"
INBOUND_PER_NUMBER = "inbound_per_number"
INBOUND_PER_CLIENT = "inbound_per_client"
REPLIES = {"stop": "inbound_stop", "help": "inbound_help"}
"""By the keyword that is answered."""
REPLY_RATE = Rate(1, 86400.0)
OF_NUMBER = (PER_NUMBER, PAUSE, PER_NOTIFIED, INBOUND_PER_NUMBER, *REPLIES.values())
"""Every limit whose keys begin with the limit and the number's id."""
FAILURES = "failures_per_number"
SUBJECT_FAILURES = "failures_per_subject"


def of_send(
    ctx: Context, *, client_id: str, number_id: int, address_digest: str | None, scope: str | None = None
) -> list[Unit]:
    """Return the units that every PIN message needs: the first of a verification and its resends.

    `scope`: of a known person, whom the public budget of the number does not lock out.
    """
    limits = ctx.policy.limits
    rates = [(PER_NUMBER, _of_number(number_id, scope), rate) for rate in limits.sends_per_number]
    if address_digest is not None:
        rates += [(PER_USER_IP, address_digest, rate) for rate in limits.sends_per_user_ip]
    return [_unit(*each) for each in rates] + _of_client(ctx, client_id)


def _of_number(number_id: int, scope: str | None) -> str:
    return str(number_id) if scope is None else f"{number_id}:{scope}"


def _of_client(ctx: Context, client_id: str) -> list[Unit]:
    return [_unit(PER_CLIENT, client_id, rate) for rate in ctx.policy.limits.sends_per_client]


def of_inbound_start(ctx: Context, *, client_id: str, number_id: int) -> list[Unit]:
    """Return what a start takes whose verification waits for a text from the person."""
    per_number = [_unit(INBOUND_PER_NUMBER, str(number_id), rate) for rate in ctx.policy.limits.inbound_per_number]
    return per_number + [_unit(INBOUND_PER_CLIENT, client_id, rate) for rate in ctx.policy.limits.inbound_per_client]


def of_notification(ctx: Context, *, client_id: str, number_id: int) -> list[Unit]:
    """Return the units that every notification needs."""
    limits = ctx.policy.limits
    of_number = [_unit(PER_NOTIFIED, str(number_id), rate) for rate in limits.notifications_per_number]
    return of_number + [_unit(PER_NOTIFYING, client_id, rate) for rate in limits.notifications_per_client]


def of_reply(keyword: str, number_id: int) -> Unit:
    """Return the unit that an automatic reply to a keyword needs."""
    return _unit(REPLIES[keyword], str(number_id), REPLY_RATE)


def _unit(limit: str, of_whom: str, rate: Rate) -> Unit:
    return Unit(limit, f"{limit}:{of_whom}:{rate.burst}/{rate.period:.0f}", rate.interval, rate.burst)


def pause(ctx: Context, *, client_id: str, number_id: int, purpose: str, scope: str | None = None) -> Unit | None:
    """Return the unit of `pause_per_number` that a start needs too; None if the pause is turned off."""
    seconds = ctx.policy.limits.pause_per_number
    key = f"{PAUSE}:{_of_number(number_id, scope)}:{client_id}:{purpose}"
    return Unit(PAUSE, key, float(seconds), 1) if seconds else None


def reserve(tx: Connection, units: Sequence[Unit], now: float) -> list[Reserved]:
    """Reserve all units. Refusal: `rate_limited`, which names the limit that is free last."""
    if not units:
        return []
    reserved = buckets.reserve(tx, units, now)
    passed = {unit.key for unit in reserved}
    refused = [unit for unit in units if unit.key not in passed]
    if refused:
        free_at = buckets.free_at(tx, [unit.key for unit in refused])
        last = max(refused, key=lambda unit: free_at.get(unit.key, now))
        raise limited(last.limit, free_at.get(last.key, now) - now, size=last.burst, window=last.window)
    return reserved


def limited(limit: str, wait: float, *, size: int = 1, window: float | None = None, why: str | None = None) -> Refusal:
    """Return the refusal of a limit of `size` in `window` seconds that is free again in `wait` seconds.

    `why`: replaces "Limit ... reached" in the detail.
    """
    detail = f"{why or f'Limit {limit} reached'}. Retry in {in_words(max(1, math.ceil(wait)))}."
    return Refusal("rate_limited", detail, retry_after=wait, quota=Quota(limit, size, window, 0, wait))


def in_words(seconds: int) -> str:
    """Return `1 second` or `2 seconds`."""
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def left_of_client(ctx: Context, client_id: str, reserved: Sequence[Reserved]) -> Quota | None:
    """Return what is left of `sends_per_client`, by the rate that leaves least; None if the limit is turned off.

    Other limits are not reported: they would reveal other clients' activity.
    """
    arrivals = {unit.key: unit.arrival for unit in reserved}
    now = ctx.clock.now()
    units = [unit for unit in _of_client(ctx, client_id) if unit.key in arrivals]
    quotas = [_quota(unit, arrivals[unit.key], now) for unit in units]
    return min(quotas, key=lambda quota: quota.left, default=None)


def _quota(unit: Unit, arrival: float, now: float) -> Quota:
    left = buckets.left(arrival=arrival, interval=unit.interval, window=unit.window, now=now)
    next_in = max(0.0, arrival - now) - unit.interval * (unit.burst - left - 1)
    return Quota(unit.limit, unit.burst, unit.window, left, next_in)


def address_digest(ctx: Context, user_ip: str | None) -> str | None:
    """Return the keyed digest of the address that is counted, None if it is unknown."""
    return ctx.vault.address_digest(address_key(user_ip)) if user_ip else None


def network_digest(ctx: Context, user_ip: str | None) -> str | None:
    """Return the keyed digest of a person's network: the /24 of an IPv4 address, the /64 of an IPv6 address."""
    if not user_ip:
        return None
    key = address_key(user_ip)
    return ctx.vault.address_digest(key if ":" in key else f"{key.rpartition('.')[0]}.0/24")


def address_key(user_ip: str) -> str:
    """Return the address that is counted: a whole IPv4 address, also inside IPv6; an IPv6 address by its /64."""
    address = ipaddress.ip_address(user_ip)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
        address = address.ipv4_mapped
    return str(address)


@lru_cache
def wait_steps(failures: Failures) -> tuple[tuple[int, float], ...]:
    """Return the waits of `Failures.wait_after` as steps: (from this count on, seconds), the highest count first."""
    steps: list[tuple[int, float]] = []
    for count in range(failures.free, failures.lock_after):
        wait = failures.wait_after(count)
        if steps and wait == steps[-1][1]:
            break
        steps.append((count, wait))
    return ((failures.lock_after, failures.wait_after(failures.lock_after)), *reversed(steps))
