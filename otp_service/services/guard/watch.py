"""What every process does every second: refresh the lists, measure takeovers, report ceilings."""

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.observability.metrics import GUARD_CEILING_SHARE
from otp_service.services.context import Context
from otp_service.services.guard import ceilings, events, lists, takeovers
from otp_service.services.guard.events import CeilingShare
from otp_service.storage.guard import ceilings as stored_ceilings

PERIOD_SECONDS = 1.0
PERCENTS = (100, 80, 50)
"""Shares of a ceiling that webhooks are told of."""


async def step(ctx: Context) -> None:
    """Refresh the lists, measure takeovers and report ceilings."""
    await lists.refresh(ctx.database, ctx.clock, ctx.guard_lists)
    await takeovers.measure(ctx)
    await _watch_ceilings(ctx)


async def _watch_ceilings(ctx: Context) -> None:
    now = ctx.clock.now()
    rows = await ctx.database.read(lambda tx: ceilings.in_force(tx, ctx.policy.guard.ceilings, now))
    shares: dict[str, float] = {}
    for row in rows:
        shares[row.scope] = max(shares.get(row.scope, 0.0), row.spent / row.most)
    for scope in ("total", "client", "country"):
        GUARD_CEILING_SHARE.labels(scope).set(shares.get(scope, 0.0))
    news = [row for row in rows if reached(row) > row.told]
    if news:
        await ctx.database.write(lambda tx: _report(tx, news, now))


def reached(row: AnyRow) -> int:
    """Return the highest of PERCENTS that a ceiling has reached; 100 if its last price no longer fits."""
    if row.spent + row.price > row.most:
        return 100
    return next((percent for percent in PERCENTS if row.spent * 100 >= row.most * percent), 0)


def _report(tx: Connection, news: list[AnyRow], now: float) -> None:
    for row in sorted(news, key=lambda row: str(row.key)):  # as a start locks them
        percent = reached(row)
        if stored_ceilings.mark_reported(tx, row.key, percent):
            country = row.of_whom if row.scope == "country" else None
            client_id = row.of_whom if row.scope == "client" else None
            events.record(tx, client_id, CeilingShare(row.scope, percent, country), now)
