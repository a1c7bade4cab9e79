"""The rules: what speaks against a message."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from otp_service.guard import counting, debts, limits, people, usual
from otp_service.guard.keys import Key, Kind, keys_of
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row

RULES: tuple[str, ...] = ("prefix", "client", "country", "address", "person", "volume")
"""The names of the rules, as in `[guard.rules]`."""

_RULE_OF = {
    Kind.PERSON: "person",
    Kind.HUNDRED: "prefix",
    Kind.BLOCK: "prefix",
    Kind.RANGE: "prefix",
    Kind.CLIENT_COUNTRY: "client",
    Kind.NEW_BLOCKS: "client",
    Kind.NEW_RANGES: "client",
    Kind.COUNTRY: "country",
    Kind.ADDRESS: "address",
}
"""The rule that limits the debt of a row."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that speaks against a message: what the row `key` would hold with it, and the limit."""

    rule: str
    key: Key
    seen: float
    limit: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What speaks against a message; without reasons nothing does."""

    reasons: tuple[Reason, ...]

    @property
    def blocked(self) -> bool:
        """Return whether a rule speaks against the message."""
        return bool(self.reasons)


def decide(
    request: Request, rows: Mapping[Key, Row], strictness: float = 1.0, off: frozenset[str] = frozenset()
) -> Decision:
    """Return what the rules that are not `off` say; every limit is divided by `strictness`."""
    current = {key: usual.rolled(rows.get(key, Row()), request.at) for key in keys_of(request)}
    person = next(iter(current.values()))
    if people.is_known(person, request.at):
        return Decision(())
    found = (*_debts(request, current), *_volumes(request, current))
    reasons = (Reason(rule, key, seen, limit / strictness) for rule, key, seen, limit in found if rule not in off)
    return Decision(tuple(reason for reason in reasons if reason.seen > reason.limit))


def _debts(request: Request, rows: Mapping[Key, Row]) -> Iterator[tuple[str, Key, float, float]]:
    if any(debts.known_drained(row, request.at) >= limits.KNOWN_DEBT for row in rows.values()):
        return
    price = counting.price_of(rows)
    for key, row in rows.items():
        rule = _RULE_OF.get(key.kind)
        if rule is not None and counting.counts(key.kind, rows):
            yield rule, key, debts.drained(key, row, request.at) + price, debts.limit_of(key, row)


def _volumes(request: Request, rows: Mapping[Key, Row]) -> Iterator[tuple[str, Key, float, float]]:
    key, row = next((key, row) for key, row in rows.items() if key.kind == Kind.CLIENT_COUNTRY)
    client = next(row for key, row in rows.items() if key.kind == Kind.CLIENT)
    if client.days < limits.VOLUME_AFTER_DAYS:
        return
    hour = limits.HOUR_ALLOWANCE + limits.VOLUME_OF_USUAL * usual.busiest_hour(row)
    day = limits.DAY_ALLOWANCE + limits.VOLUME_OF_USUAL * usual.messages_a_day(row)
    yield "volume", key, usual.hour_asked(row, request.at) + 1, hour
    yield "volume", key, row.sent + 1, day
