"""The history of a test: every call with its response, every delivered message, and every row at the end."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.engine import Database
from otp_service.storage.numbers import open_number
from otp_service.storage.tables import ceilings, events, failures, notifications, numbers, sends, verifications
from otp_service.vault import Vault

MAY_HAVE_LEFT = ("accepted", "unknown", None)
"""Outcomes of a send that a message may belong to."""


@dataclass(frozen=True)
class Call:
    """One request and its response. `status` is None without a response; `key` is its Idempotency-Key; `seconds` is
    the time until the response."""

    operation: str
    status: int | None
    body: dict[str, Any] = field(default_factory=dict, repr=False)
    to: str | None = field(default=None, repr=False)
    verification_id: str | None = None
    pin: str | None = field(default=None, repr=False)
    key: str | None = None
    retry_after: str | None = None
    seconds: float = 0.0

    @property
    def result(self) -> str | None:
        """The result of a check that got a response."""
        return self.body.get("result") if self.operation == "check" and self.status == 200 else None

    @property
    def verification(self) -> dict[str, Any]:
        """The verification in the response; empty if there is none."""
        if self.status not in (200, 201) or self.operation == "notify":
            return {}
        shown: dict[str, Any] = self.body.get("verification", self.body) if self.operation == "check" else self.body
        return shown

    def surely_sent_nothing(self) -> bool:
        """Whether the response rules out a message: an error, or a repeated start."""
        if self.operation not in ("start", "resend", "notify"):
            return True
        refused = self.status is not None and (400 <= self.status < 500 or self.status == 502)
        return refused or (self.operation == "start" and self.status == 200)


@dataclass(frozen=True)
class Message:
    """A message that a handset received. `at` is in seconds since the epoch."""

    to: str = field(repr=False)
    at: float
    pin: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class VerificationRow:
    """A row of `verifications`. `to` is None if it is unknown or deleted."""

    id: str
    to: str | None = field(repr=False)
    client: str = "client"
    purpose: str = "signup"
    status: str = "pending"
    delivery_status: str = "sent"
    attempts: int = 5
    attempts_spent: int = 0
    attempts_compared: int = 0
    created_at: float = 0.0
    ended_at: float | None = None


@dataclass(frozen=True)
class SendRow:
    """A row of `sends`. `has_hash` says that its PIN can be approved; `price` is what it holds under the ceiling."""

    verification_id: str
    route: str = "pin"
    outcome: str | None = "accepted"
    started_at: float = 0.0
    has_hash: bool = False
    request_id: int | None = None
    reason: str | None = None
    price: int = 0
    has_begun: bool = True


@dataclass(frozen=True)
class EventRow:
    """A row of `events` for a check."""

    verification_id: str
    result: str


@dataclass(frozen=True)
class FailureRow:
    """The consecutive wrong checks of a number."""

    to: str | None = field(repr=False)
    client: str = "client"
    purpose: str = "signup"
    checks: int = 0


@dataclass(frozen=True)
class NotificationRow:
    """A row of `notifications`."""

    id: str
    to: str | None = field(repr=False)
    status: str = "sent"
    created_at: float = 0.0


@dataclass(frozen=True)
class Rows:
    """The tables at the end. `spent`: what the ceiling counts."""

    verifications: list[VerificationRow] = field(default_factory=list)
    sends: list[SendRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    failures: list[FailureRow] = field(default_factory=list)
    notifications: list[NotificationRow] = field(default_factory=list)
    spent: int = 0


@dataclass(frozen=True)
class History:
    """All calls, messages and rows. The clocks of the service and the handsets differ by at most `slack` seconds."""

    calls: list[Call]
    messages: list[Message]
    rows: Rows
    slack: float = 0.5


def messages_of(delivered: Iterable[dict[str, Any]], numbers_used: Iterable[str]) -> list[Message]:
    """Returns the messages that the simulator delivered to these numbers, oldest first."""
    ours = set(numbers_used)
    found = [Message(each["to"], _seconds(each["at"]), each["pin"]) for each in delivered if each["to"] in ours]
    return sorted(found, key=lambda message: message.at)


def _seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()


def read_rows(database_url: str, vault: Vault) -> Rows:
    """Reads every row without the service. `vault` decrypts the numbers."""
    database = Database(database_url)
    try:
        with database.engine.connect() as tx:
            return _rows(tx, lambda sealed: open_number(vault, sealed))
    finally:
        database.close()


def _rows(tx: Connection, opened: Callable[[str | None], str | None]) -> Rows:
    number = {row.id: opened(row.sealed) for row in tx.execute(sa.select(numbers.c.id, numbers.c.sealed))}
    v, s, n, f = verifications.c, sends.c, notifications.c, failures.c
    shown = (v.delivery_status, v.attempts, v.attempts_spent, v.attempts_compared, v.created_at, v.ended_at)
    checks = sa.select(events.c.verification_id, events.c.result).where(events.c.type == "check")
    sent = sa.select(
        s.verification_id,
        s.route,
        s.outcome,
        s.started_at,
        s.pin_hash.is_not(None),
        s.request_id,
        s.reason,
        s.prices,
        s.begun_at.is_not(None),
    )
    told = sa.select(n.id, n.number_id, n.status, n.created_at)
    begun = sa.select(v.id, v.number_id, v.client_id, v.purpose, v.status, *shown)
    wrong = sa.select(f.number_id, f.client_id, f.purpose, f.checks)
    return Rows(
        verifications=[VerificationRow(row[0], number.get(row[1]), *row[2:]) for row in tx.execute(begun)],
        sends=[
            SendRow(row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6], _price(row[7]), bool(row[8]))
            for row in tx.execute(sent.order_by(s.id))
        ],
        events=[EventRow(*row) for row in tx.execute(checks)],
        failures=[FailureRow(number.get(row[0]), *row[1:]) for row in tx.execute(wrong)],
        notifications=[NotificationRow(row[0], number.get(row[1]), *row[2:]) for row in tx.execute(told)],
        spent=tx.scalar(sa.select(sa.func.sum(ceilings.c.spent))) or 0,
    )


def _price(prices: str | None) -> int:
    return sum(json.loads(prices).values()) if prices else 0
