"""A guard over rows in memory, and the messages that tests ask it for."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from otp_service.guard import counting
from otp_service.guard.keys import Key, Kind, keys_of
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row
from otp_service.guard.rules import Decision, decide

HOUR = 3600.0
DAY = 24 * HOUR
NOON = 20_000 * DAY + DAY / 2


@dataclass
class Guard:
    """Decides and counts."""

    rows: dict[Key, Row] = field(default_factory=dict)

    def decide(self, request: Request, off: frozenset[str] = frozenset()) -> Decision:
        decision = decide(request, self.rows, off=off)
        change = counting.blocked if decision.blocked else counting.sent
        self.rows |= change(request, self.rows)
        return decision

    def send(self, request: Request) -> bool:
        return not self.decide(request).blocked

    def approve(self, request: Request, after: float = 20.0) -> None:
        found = {key: self.rows[key] for key in keys_of(request) if key in self.rows}
        self.rows |= counting.approved(request.at + after, found)

    def converse(self, request: Request) -> bool:
        """Sends a message, and approves it if it was sent."""
        sent = self.send(request)
        if sent:
            self.approve(request)
        return sent

    def row(self, request: Request, kind: Kind) -> Row:
        return next((self.rows.get(key, Row()) for key in keys_of(request) if key.kind == kind), Row())


def message(
    at: float,
    number: str = "+573005550000",
    *,
    client: str = "shop",
    country: str = "CO",
    address: str | None = None,
    subject: str = "",
) -> Request:
    return Request(at, client, number, country, address, subject)


def burst(count: int, at: float = NOON, block: str = "+57300555", **rest: str) -> Iterator[Request]:
    """One message a second, to different numbers of a block."""
    return (message(at + index, f"{block}{index * 97 % 10_000:04d}", **rest) for index in range(count))


def scattered(count: int, at: float = NOON, **rest: str) -> Iterator[Request]:
    """One message a second, each to a block of its own."""
    return (message(at + index, f"+573{index % 10}{index * 31 % 10_000:04d}5550", **rest) for index in range(count))


def usual_days(guard: Guard, days: int, count: int, **rest: str) -> None:
    """Plays earlier days on which all of `count` people are approved, spread over twenty blocks and the whole day."""
    for day in range(days, 0, -1):
        for index in range(count):
            at = NOON - day * DAY - DAY / 2 + (index + 0.5) * DAY / count
            number = f"+57310{index % 20:03d}{(day * count + index) * 7 % 10_000:04d}"
            assert guard.converse(message(at, number, **rest))
