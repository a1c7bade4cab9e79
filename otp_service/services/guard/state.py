"""What the guard keeps in the memory of a process: changes that wait to be counted, the lists, the takeovers meter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from otp_service.guard import counting
from otp_service.guard.keys import Key
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row
from otp_service.services.guard.keys import KeyedRequest

MOST_WAITING = 10_000
"""While the database is away nothing is sent either, so more than this cannot be waiting for long."""

ClientPurpose = tuple[str, str]
"""A client's id and a purpose."""


@dataclass(frozen=True, slots=True)
class Change:
    """A request and what it does to its rows."""

    keyed: KeyedRequest
    apply: Callable[[Request, Mapping[Key, Row]], dict[Key, Row]]


@dataclass(frozen=True, slots=True)
class Approval:
    """An approved verification or challenge."""

    verification_id: str
    client_id: str
    at: float


@dataclass
class GuardCounts:
    """What waits to be counted, oldest first."""

    waiting: list[Change | Approval] = field(default_factory=list)

    def sent(self, keyed: KeyedRequest) -> None:
        """Count a message."""
        self._add(Change(keyed, counting.sent))

    def blocked(self, keyed: KeyedRequest) -> None:
        """Count a request that was blocked."""
        self._add(Change(keyed, counting.blocked))

    def given_back(self, keyed: KeyedRequest) -> None:
        """Take back a message that was refused for sure."""
        self._add(Change(keyed, counting.given_back))

    def approved(self, approval: Approval) -> None:
        """Count an approval."""
        self._add(approval)

    def _add(self, each: Change | Approval) -> None:
        if len(self.waiting) < MOST_WAITING:
            self.waiting.append(each)


@dataclass
class Lists:
    """The entries as this process last read them: prefix -> (verdict, until)."""

    entries: Mapping[str, tuple[str, float | None]] = field(default_factory=dict)

    def verdict(self, e164: str, now: float) -> str | None:
        """Return the verdict of the longest prefix of a number; None if there is none."""
        for end in range(len(e164), 1, -1):
            verdict, until = self.entries.get(e164[:end], (None, None))
            if verdict is not None and (until is None or until > now):
                return verdict
        return None


@dataclass
class TakeoverMeter:
    """The meter of takeovers.

    `wrong`: expected takeovers of wrong checks not stored yet; `above_alarm`: above the alarm; `shown`: in the metric.
    """

    wrong: dict[ClientPurpose, float] = field(default_factory=dict)
    above_alarm: frozenset[ClientPurpose] = frozenset()
    shown: frozenset[ClientPurpose] = frozenset()

    def add(self, of: ClientPurpose, *, digits: int, live: int) -> None:
        """Count a wrong check: a guess of so many digits, of which `live` values would have been right."""
        self.put_back({of: live * 10.0**-digits})

    def put_back(self, wrong: Mapping[ClientPurpose, float]) -> None:
        """Add expected takeovers, for example of wrong checks that could not be stored."""
        for of, expected in wrong.items():
            self.wrong[of] = self.wrong.get(of, 0.0) + expected
