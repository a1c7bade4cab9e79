"""The limits of `[limits]`: what a send takes, all or none, and gives back where it was refused for sure."""

import ipaddress
import math
from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy.engine import Connection

from otp_service.config.policy import Failures
from otp_service.config.rates import Rate
from otp_service.errors import Quota, Refusal
from otp_service.services.context import Context
from otp_service.storage.limits import buckets
from otp_service.storage.limits.buckets import Take, Taken

PER_NUMBER = "sends_per_number"
PAUSE = "pause_per_number"
PER_USER_IP = "sends_per_user_ip"
PER_CLIENT = "sends_per_client"
PER_NOTIFIED = "notifications_per_number"
FAILURES = "failures_per_number"


def of_send(ctx: Context, *, client_id: str, number_id: int, address_digest: str | None) -> list[Take]:
    """What every send takes, the first of a verification and its resends."""
    limits = ctx.policy.limits
    rates = [(PER_NUMBER, str(number_id), rate) for rate in limits.sends_per_number]
    if address_digest is not None:
        rates += [(PER_USER_IP, address_digest, rate) for rate in limits.sends_per_user_ip]
    return [_unit(*each) for each in rates] + _of_client(ctx, client_id)


def _of_client(ctx: Context, client_id: str) -> list[Take]:
    return [_unit(PER_CLIENT, client_id, rate) for rate in ctx.policy.limits.sends_per_client]


def of_notification(ctx: Context, number_id: int) -> list[Take]:
    """What every notification takes."""
    return [_unit(PER_NOTIFIED, str(number_id), rate) for rate in ctx.policy.limits.notifications_per_number]


def _unit(limit: str, of_whom: str, rate: Rate) -> Take:
    return Take(limit, f"{limit}:{of_whom}:{rate.burst}/{rate.period:.0f}", rate.interval, rate.burst)


def pause(ctx: Context, *, client_id: str, number_id: int, purpose: str) -> list[Take]:
    """What a start takes beside: one every so many seconds."""
    seconds = ctx.policy.limits.pause_per_number
    if not seconds:
        return []
    return [Take(PAUSE, f"{PAUSE}:{number_id}:{client_id}:{purpose}", float(seconds), 1)]


def take(tx: Connection, takes: Sequence[Take], now: float) -> list[Taken]:
    """Takes one of each, or raises Refusal `rate_limited` naming the limit that is free last."""
    if not takes:
        return []
    taken = buckets.take(tx, takes, now)
    passed = {unit.key for unit in taken}
    refused = [t for t in takes if t.key not in passed]
    if refused:
        free_at = buckets.free_at(tx, [t.key for t in refused])
        last = max(refused, key=lambda t: free_at.get(t.key, now))
        raise limited(last.limit, free_at.get(last.key, now) - now, size=last.burst, window=last.interval * last.burst)
    return taken


def limited(limit: str, wait: float, *, size: int = 1, window: float | None = None) -> Refusal:
    """The refusal of a limit of `size` in `window` seconds that is free again in `wait` seconds."""
    seconds = max(1, math.ceil(wait))
    detail = f"The limit {limit} is used up; try again in {seconds} seconds."
    return Refusal("rate_limited", detail, retry_after=wait, quota=Quota(limit, size, window, 0, wait))


def left_of_client(ctx: Context, client_id: str, taken: Sequence[Taken]) -> Quota | None:
    """What is left of the client's own limit, of several rates where least is; None where none was taken.

    Of the limits that count over all clients nothing is told: it would tell what the others do.
    """
    arrivals = {unit.key: unit.arrival for unit in taken}
    now = ctx.clock.now()
    quotas = [_left(t, max(0.0, arrivals[t.key] - now)) for t in _of_client(ctx, client_id) if t.key in arrivals]
    return min(quotas, key=lambda quota: quota.left, default=None)


def _left(take: Take, used: float) -> Quota:
    """`used`: seconds until the bucket is full again."""
    window = take.interval * take.burst
    left = int((window - used + 1e-6) // take.interval)
    return Quota(take.limit, take.burst, window, left, used - take.interval * (take.burst - left - 1))


def address_key(user_ip: str) -> str:
    """The address that is counted: IPv4 whole, also inside IPv6; IPv6 by its /64, which one person owns."""
    address = ipaddress.ip_address(user_ip)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
        address = address.ipv4_mapped
    return str(address)


@lru_cache
def waits(failures: Failures) -> tuple[tuple[int, float], ...]:
    """`wait_after` as steps: (from this count on, seconds), the highest count first."""
    steps: list[tuple[int, float]] = []
    for count in range(failures.free, failures.lock_after):
        wait = failures.wait_after(count)
        if steps and wait == steps[-1][1]:
            break
        steps.append((count, wait))
    return ((failures.lock_after, failures.wait_after(failures.lock_after)), *reversed(steps))
