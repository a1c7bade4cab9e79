"""What time does: stuck sends become unknown, late verifications expire, what is due is wiped.

Any process sweeps whose turn it is, in small batches with pauses, so that requests hardly notice.
"""

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy.engine import Connection

from otp_service.clock import Clock, elapsed
from otp_service.config.policy.policy import LONGEST_LIFETIME
from otp_service.database.engine import Database
from otp_service.errors import Unavailable
from otp_service.services.clients.idempotency import KEPT_SECONDS
from otp_service.services.context import Context
from otp_service.services.guard import takeovers
from otp_service.services.operations.clock import synchronize
from otp_service.storage import clock as stored_clock
from otp_service.storage import sweeps
from otp_service.storage.batches import BATCH
from otp_service.storage.factors import sweeps as factor_sweeps
from otp_service.storage.guard import alarms, ceilings, decisions, guesses, known_people, lists
from otp_service.storage.guard import rows as guard_rows
from otp_service.storage.queues import campaign_messages, notifications, webhook_deliveries
from otp_service.storage.verifications import proofs, sends, verifications

log = structlog.get_logger("otp_service.retention")

PERIOD_SECONDS = 5.0
STUCK_AFTER_SECONDS = 15.0
"""Longer than any request lives: 10 s of gateway and a full hash queue. Nothing younger is purged."""
CEILING_SECONDS = 86400.0
"""What is spent is kept as long after its hour or day: a clock that is set back must not begin it anew."""
CHALLENGED_SECONDS = LONGEST_LIFETIME + STUCK_AFTER_SECONDS
"""No challenge is longer in use. Its checks count at its subject, which must not be gone."""
MOST_BATCHES = 20
"""Of one sweep in one round: a year that is due at once must not keep the others waiting."""
PAUSE = 1.0
"""After a batch, as a share of what it took: the database is left alone half of the time."""

Sweep = Callable[[Connection, float], int]


async def sweep(ctx: Context) -> dict[str, int]:
    """Run every sweep once; return how many rows each touched, without those that touched none."""
    counts: dict[str, int] = {}
    for name, work in _sweeps(ctx).items():
        try:
            counts[name] = await _batches(ctx, work)
        except Unavailable:
            raise
        except Exception:  # one odd row must not keep everything else from being wiped
            log.error("sweep_failed", sweep=name, exc_info=True)
    return {name: count for name, count in counts.items() if count}


def _sweeps(ctx: Context) -> dict[str, Sweep]:
    keep = ctx.policy.retention
    return {
        "stuck": _abandon_stuck,
        "abandoned": lambda tx, now: notifications.abandon(tx, now, BATCH),
        "abandoned_campaign": lambda tx, now: campaign_messages.abandon(tx, now, BATCH),
        "abandoned_webhooks": lambda tx, now: webhook_deliveries.abandon(tx, now, BATCH),
        "undeliverable": sweeps.fail_undeliverable,
        "expired": sweeps.expire,
        "exhausted": sweeps.exhaust,
        "hashes": lambda tx, now: sweeps.wipe_hashes(tx, now - keep.hash),
        "verifications_without_number": lambda tx, now: sweeps.wipe_number_of_verifications(tx, now - keep.number),
        "notifications_without_number": lambda tx, now: sweeps.wipe_number_of_notifications(tx, now - keep.number),
        "webhooks_without_number": lambda tx, now: sweeps.wipe_number_of_deliveries(tx, now - keep.number),
        "numbers": lambda tx, now: sweeps.wipe_numbers(tx, now, now - keep.number),
        "limits": sweeps.purge_buckets,
        "failures": lambda tx, now: sweeps.purge_failures(tx, now, now - keep.counters),
        "unverified_factors": factor_sweeps.purge_unverified,
        "devices": factor_sweeps.purge_devices,
        "subject_failures": lambda tx, now: factor_sweeps.purge_failures(tx, now, now - keep.counters),
        "idle_subjects": lambda tx, now: factor_sweeps.purge_idle(tx, now - max(keep.counters, CHALLENGED_SECONDS)),
        "campaign": lambda tx, now: sweeps.purge_campaign_messages(tx, now, now - keep.counters),
        "webhooks": lambda tx, now: sweeps.purge_deliveries(tx, now - keep.counters),
        "unused_numbers": lambda tx, now: sweeps.purge_numbers(tx, now - keep.counters),
        "guard_rows": lambda tx, now: guard_rows.purge(tx, now - keep.counters),
        "known_people": lambda tx, now: known_people.purge(tx, now - keep.counters),
        "ceilings": lambda tx, now: ceilings.purge(tx, now - max(keep.counters, CEILING_SECONDS)),
        "guesses": lambda tx, now: guesses.purge(tx, int(now // 60) - takeovers.MINUTES),
        "guard_alarms": alarms.purge,
        "guard_decisions": lambda tx, now: decisions.purge(tx, now - keep.audit),
        "guard_audit": lambda tx, now: lists.purge_audit(tx, now - keep.audit),
        "requests": lambda tx, now: sweeps.purge_requests(tx, now - KEPT_SECONDS),
        "audit": lambda tx, now: sweeps.purge_audit(tx, now - max(keep.audit, STUCK_AFTER_SECONDS)),
        "notifications": lambda tx, now: sweeps.purge_notifications(tx, now - max(keep.audit, STUCK_AFTER_SECONDS)),
    }


async def _batches(ctx: Context, work: Sweep) -> int:
    """Run a sweep in batches, each in its own transaction, until nothing is left or its time is up."""
    total = 0
    for _ in range(MOST_BATCHES):
        begun = elapsed()
        count = await ctx.database.write(lambda tx: work(tx, ctx.clock.now()))
        total += count
        if count < BATCH:
            break
        await asyncio.sleep((elapsed() - begun) * PAUSE)
    return total


def _abandon_stuck(tx: Connection, now: float) -> int:
    """End sends whose process died before it recorded their outcome: it is unknown, and nothing is repeated."""
    stuck = sends.lock_stuck(tx, now - STUCK_AFTER_SECONDS, BATCH)
    sends.abandon(tx, stuck, now)
    return len(stuck)


async def round_of(ctx: Context) -> bool:
    """Synchronize the clock and sweep; return True if rows are left."""
    if not await synchronize(ctx.database, ctx.clock):
        return False  # nothing ends because of a time in doubt
    if not await ctx.database.write(lambda tx: sweeps.claim_turn(tx, ctx.clock.now(), PERIOD_SECONDS)):
        return False
    touched = await sweep(ctx)
    if touched:
        log.debug("swept", **touched)
    more = any(count >= MOST_BATCHES * BATCH for count in touched.values())
    if more:
        await ctx.database.write(lambda tx: sweeps.return_turn(tx, ctx.clock.now()))
    return more


async def cancel_pending(database: Database, clock: Clock, reason: str) -> int:
    """Cancel every pending verification and void every proof, as after a restore from a backup; return how many.

    SQLite's time starts anew.
    """
    await database.write(stored_clock.forget)  # it may be that of another machine
    await synchronize(database, clock)

    def step(tx: Connection) -> int:
        now = clock.now()
        stored_clock.repair(tx, now)
        proofs.void_all(tx, now)
        return verifications.cancel_all_pending(tx, now, reason)

    return await database.write(step)
