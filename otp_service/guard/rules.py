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
    Kind.BLOCK: "prefix",
    Kind.RANGE: "prefix",
    Kind.CLIENT_COUNTRY: "client",
    Kind.NEW_BLOCKS: "client",
    Kind.NEW_PLACES: "client",
    Kind.COUNTRY: "country",
    Kind.ADDRESS: "address",
}
"""The rule that limits the debt of a row."""


_Seen = tuple[str, Kind, float, float]
"""Rule, kind of the row, what it would hold with the message, limit."""


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
    keys = keys_of(request)
    found = counting.by_kind(keys, rows, request.at)
    if people.is_known(found[Kind.PERSON], request.at):
        return Decision(())
    seen = (*_debts(request, found), *_volumes(request, found))
    against = [each for each in seen if each[0] not in off and each[2] > each[3] / strictness]
    return Decision(
        tuple(
            Reason(rule, next(key for key in keys if key.kind == kind), value, limit / strictness)
            for rule, kind, value, limit in against
        )
    )


def _debts(request: Request, rows: Mapping[Kind, Row]) -> Iterator[_Seen]:
    if counting.messages_are_lost(rows, request.at):
        return
    price = counting.price_of(rows, request.at)
    kinds = counting.counting_kinds(rows)
    for kind, row in rows.items():
        rule = _RULE_OF.get(kind)
        if rule is not None and kind in kinds:
            yield rule, kind, debts.debt_at(kind, row, request.at) + price, debts.limit_of(kind, row)


def _volumes(request: Request, rows: Mapping[Kind, Row]) -> Iterator[_Seen]:
    if rows[Kind.CLIENT].days < limits.VOLUME_AFTER_DAYS or _is_usual(rows[Kind.BLOCK]) or _is_usual(rows[Kind.RANGE]):
        return
    kinds = counting.counting_kinds(rows)
    for kind in (Kind.CLIENT_COUNTRY, Kind.NEW_PLACES):
        if kind in kinds:
            yield from _volumes_of(kind, rows[kind], request.at)


def _volumes_of(kind: Kind, row: Row, at: float) -> Iterator[_Seen]:
    hour = limits.HOUR_ALLOWANCE + limits.VOLUME_OF_USUAL * usual.busiest_hour(row)
    yield "volume", kind, usual.hour_asked(row, at) + 1, hour
    day = limits.DAY_ALLOWANCE + limits.VOLUME_OF_USUAL * usual.messages_a_day(row)
    yield "volume", kind, row.sent + 1, day


def _is_usual(row: Row) -> bool:
    """Return whether no more is asked for in these numbers than on other days, or little where people live."""
    spared = limits.SPARED * usual.messages_a_day(row)
    if row.usual_approved > 0:
        spared = max(spared, limits.SPARED_AT_LEAST)
    return row.sent + 1 <= spared
