"""The takeovers meter: how many accounts guessed PINs are expected to open in an hour, per client and purpose."""

from sqlalchemy.engine import Connection

from otp_service.config.policy.policy import Purpose
from otp_service.errors import Unavailable
from otp_service.observability.metrics import GUARD_EXPECTED_TAKEOVERS
from otp_service.services.context import Context
from otp_service.services.guard import events
from otp_service.services.guard.events import ALARM_SECONDS, ExpectedTakeovers
from otp_service.services.guard.state import ClientPurpose
from otp_service.storage.guard import alarms, guesses

MINUTES = 60
MORE_DIGITS = 2
MOST_DIGITS = 10


def lengthen(ctx: Context, client_id: str, purpose: Purpose) -> Purpose:
    """Return the purpose with longer PINs if `longer_pins` is on and too many takeovers are expected."""
    if not ctx.policy.guard.takeovers.longer_pins or (client_id, purpose.name) not in ctx.takeovers.above_alarm:
        return purpose
    return with_pin_length(purpose, min(MOST_DIGITS, purpose.pin_length + MORE_DIGITS))


def with_pin_length(purpose: Purpose, pin_length: int) -> Purpose:
    """Return the purpose with PINs of this length."""
    return purpose if purpose.pin_length == pin_length else purpose.model_copy(update={"pin_length": pin_length})


def was_lengthened(purpose: Purpose, pin_length: int) -> bool:
    """Return whether a PIN of this length can be one that was made longer."""
    return pin_length == min(MOST_DIGITS, purpose.pin_length + MORE_DIGITS)


async def measure(ctx: Context) -> None:
    """Store what this process counted, and compare the last hour with the alarm."""
    counted, ctx.takeovers.wrong = ctx.takeovers.wrong, {}
    try:
        expected = await ctx.database.write(lambda tx: _measure(tx, ctx, counted))
    except Unavailable:
        ctx.takeovers.put_back(counted)
        raise
    alarm = ctx.policy.guard.takeovers.alarm
    ctx.takeovers.above_alarm = frozenset(each for each, value in expected.items() if value > alarm)
    for client_id, purpose in ctx.takeovers.shown.union(expected):
        GUARD_EXPECTED_TAKEOVERS.labels(client_id, purpose).set(expected.get((client_id, purpose), 0.0))
    ctx.takeovers.shown = frozenset(expected)


def _measure(tx: Connection, ctx: Context, counted: dict[ClientPurpose, float]) -> dict[ClientPurpose, float]:
    now = ctx.clock.now()
    minute = int(now // 60)
    for (client_id, purpose), expected in sorted(counted.items()):
        guesses.add(tx, client_id=client_id, purpose=purpose, minute=minute, expected=expected)
    found = of_last_hour(tx, now)
    for (client_id, purpose), expected in found.items():
        if expected > ctx.policy.guard.takeovers.alarm:
            _raise_alarm(tx, client_id, purpose, expected, now)
    return found


def of_last_hour(tx: Connection, now: float) -> dict[ClientPurpose, float]:
    """Return the expected takeovers of the last hour."""
    rows = guesses.expected_since(tx, int(now // 60) - MINUTES + 1)
    return {(row.client_id, row.purpose): float(row.expected) for row in rows}


def _raise_alarm(tx: Connection, client_id: str, purpose: str, expected: float, now: float) -> None:
    if alarms.raise_once(tx, f"takeovers:{client_id}:{purpose}", now=now, until=now + ALARM_SECONDS):
        events.record(tx, client_id, ExpectedTakeovers(purpose, expected), now)
