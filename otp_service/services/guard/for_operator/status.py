"""What the guard does now: its rules, what they blocked, money against ceilings, and expected takeovers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.engine import Connection

from otp_service.clock import Clock
from otp_service.config.policy.guard import MICRO, CeilingRules, GuardRules
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.services.guard import ceilings, takeovers
from otp_service.services.guard.decisions import DENIED
from otp_service.services.guard.for_operator.history import ALL_RULES
from otp_service.storage import clients
from otp_service.storage.guard import ceilings as stored_ceilings
from otp_service.storage.guard import decisions, messages

_HOUR, _DAY = 3600.0, 86400.0
REPORT_AFTER_DAYS = 7
_PERIODS = {3600: "hour", 86400: "day"}


@dataclass(frozen=True)
class Count:
    """Requests that a rule decided. `approved`: of both, those whose number was approved after all."""

    blocked: int
    would_be_blocked: int
    approved: int


@dataclass(frozen=True)
class RuleStatus:
    """A rule, or the operator's list of denied prefixes."""

    rule: str
    mode: str
    last_hour: Count
    last_day: Count


@dataclass(frozen=True)
class CeilingStatus:
    """Money reserved in the present hour or day. `of`: the client or country, None for the total.

    `is_set`: the policy has this ceiling; else it is one that another policy had in this hour or day.
    """

    scope: str
    of: str | None
    per: str
    spent: float
    most: float
    ends_at: float | None
    is_set: bool


@dataclass(frozen=True)
class TakeoverStatus:
    """Takeovers that are expected of the wrong checks of the last hour."""

    client: str
    purpose: str
    expected: float


@dataclass(frozen=True)
class GuardStatus:
    """What the guard does now."""

    mode: str
    strictness: float
    rules: list[RuleStatus]
    ceilings: list[CeilingStatus]
    takeovers: list[TakeoverStatus]
    takeovers_alarm: float


async def show(database: Database, clock: Clock, rules: GuardRules) -> GuardStatus:
    """Return what the guard does now."""
    return await database.read(lambda tx: _status(tx, rules, clock.now()))


def _status(tx: Connection, rules: GuardRules, now: float) -> GuardStatus:
    names = clients.names(tx)
    hour, day = (_counts(decisions.count(tx, since=now - seconds, until=now)) for seconds in (_HOUR, _DAY))
    return GuardStatus(
        mode=rules.mode,
        strictness=rules.strictness,
        rules=[RuleStatus(rule, _mode(rules, rule), hour[rule], day[rule]) for rule in ALL_RULES],
        ceilings=[*_ceilings(rules.ceilings, stored_ceilings.current(tx, now), names)],
        takeovers=[
            TakeoverStatus(names.get(client_id, client_id), purpose, expected)
            for (client_id, purpose), expected in sorted(takeovers.of_last_hour(tx, now).items())
        ],
        takeovers_alarm=rules.takeovers.alarm,
    )


def _mode(rules: GuardRules, rule: str) -> str:
    return "enforce" if rule == DENIED else rules.mode_of(rule)


def _counts(rows: Sequence[AnyRow]) -> dict[str, Count]:
    counts = {}
    for rule in ALL_RULES:
        of_rule = [row for row in rows if row.rule == rule]
        recorded = sum(row.decisions for row in of_rule if row.action == decisions.SENT)
        blocked = sum(row.decisions for row in of_rule) - recorded
        counts[rule] = Count(blocked, recorded, sum(row.approved for row in of_rule))
    return counts


def _ceilings(rules: CeilingRules, reserved: Sequence[AnyRow], names: Mapping[str, str]) -> Iterator[CeilingStatus]:
    """Return what is reserved, then the ceilings of the policy under which nothing is reserved yet."""
    for row in reserved:
        of = names.get(row.of_whom, row.of_whom) or None
        period = ceilings.period_of(row.key)
        spent, most, is_set = row.spent / MICRO, row.most / MICRO, ceilings.is_in_force(rules, row)
        yield CeilingStatus(row.scope, of, _PERIODS[period], spent, most, row.ends_at, is_set)
    touched = {(row.scope, ceilings.period_of(row.key)) for row in reserved}
    for scope, of_scope in rules:
        for each in of_scope:
            if (scope, each.period) not in touched:
                yield CeilingStatus(scope, None, _PERIODS[each.period], 0.0, each.most / MICRO, None, True)


async def report(database: Database, clock: Clock) -> dict[str, Count] | None:
    """Return, by rule, what was and what would have been blocked in the last 7 days; None if there are fewer days."""
    now = clock.now()
    since = now - REPORT_AFTER_DAYS * _DAY
    begun = await first_at(database)
    if begun is None or begun > since:
        return None
    counts = _counts(await database.read(partial(decisions.count, since=since, until=now)))
    return {rule: count for rule, count in counts.items() if rule != DENIED}


async def first_at(database: Database) -> float | None:
    """Return the time of the oldest request that the guard remembers, None if there is none."""

    def step(tx: Connection) -> float | None:
        times = decisions.first_at(tx), messages.first_at(tx)
        return min((at for at in times if at is not None), default=None)

    return await database.read(step)
