"""Past requests, decided again as if every rule were enforced."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from otp_service.guard import counting
from otp_service.guard.keys import Key, keys_of
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row
from otp_service.guard.rules import RULES, Decision, decide

SWEEP_FROM = 20_000
"""Rows; a sweep reads them all, so the next one waits until there are twice as many."""


@dataclass(frozen=True, slots=True)
class Event:
    """A past request, and how many seconds later its message was approved; None if it never was."""

    request: Request
    approved_after: float | None


@dataclass
class Tally:
    """What happened to the requests: all, those of a country, or all as one rule judged them."""

    asked: int = 0
    sent: int = 0
    blocked: int = 0
    lost: int = 0
    """Blocked although they were approved in the past: honest requests."""
    spent: float = 0.0
    saved: float = 0.0

    def add(self, event: Event, price: float, *, is_blocked: bool) -> None:
        """Count a request."""
        self.asked += 1
        self.sent += not is_blocked
        self.blocked += is_blocked
        self.lost += is_blocked and event.approved_after is not None
        self.spent += 0.0 if is_blocked else price
        self.saved += price if is_blocked else 0.0


@dataclass
class Summary:
    """The tallies of all requests, of each country, and of each rule: `blocked` are those that it spoke against."""

    total: Tally = field(default_factory=Tally)
    countries: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    rules: dict[str, Tally] = field(default_factory=lambda: {rule: Tally() for rule in RULES})


class Rehearsal:
    """Decides events in the order of their time; keeps the rows in memory, without the idle ones."""

    def __init__(
        self,
        strictness: float = 1.0,
        off: frozenset[str] = frozenset(),
        price_of: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        self.rows: dict[Key, Row] = {}
        self.summary = Summary()
        self._strictness = strictness
        self._off = off
        self._price_of = price_of
        self.approvals: list[tuple[float, int, tuple[Key, ...]]] = []
        self._count = 0
        self._sweep_at = SWEEP_FROM

    def decide(self, event: Event) -> Decision:
        """Return the decision on an event, and count it. A message that is sent is approved when it was in the past."""
        request = event.request
        self._approve_until(request.at)
        keys = keys_of(request)
        decision = decide(request, self.rows, self._strictness, self._off)
        count = counting.blocked if decision.blocked else counting.sent
        self.rows.update(count(request, self.rows))
        if event.approved_after is not None and not decision.blocked:
            self._count += 1
            heapq.heappush(self.approvals, (request.at + event.approved_after, self._count, keys))
        self._tally(event, decision)
        self._sweep(request.at)
        return decision

    def _approve_until(self, at: float) -> None:
        while self.approvals and self.approvals[0][0] <= at:
            approved_at, _, keys = heapq.heappop(self.approvals)
            found = {key: self.rows[key] for key in keys if key in self.rows}
            self.rows.update(counting.approved(approved_at, found))

    def _tally(self, event: Event, decision: Decision) -> None:
        price = self._price_of(event.request.number)
        for tally in (self.summary.total, self.summary.countries[event.request.country]):
            tally.add(event, price, is_blocked=decision.blocked)
        against = {reason.rule for reason in decision.reasons}
        for rule, tally in self.summary.rules.items():
            tally.add(event, price, is_blocked=rule in against)

    def _sweep(self, at: float) -> None:
        if len(self.rows) >= self._sweep_at:
            self.rows = without_idle(self.rows, at)
            self._sweep_at = max(SWEEP_FROM, 2 * len(self.rows))


def without_idle(rows: Mapping[Key, Row], at: float) -> dict[Key, Row]:
    """Return the rows in which something still matters."""
    return {key: row for key, row in rows.items() if not counting.idle(row, at)}
