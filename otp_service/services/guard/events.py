"""The events of the guard, for webhooks."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy.engine import Connection

from otp_service.storage import webhook_events

Scope = Literal["total", "client", "country"]
ALARM_SECONDS = 3600.0
"""An alarm is sent once in this time."""


@dataclass(frozen=True)
class Alarm:
    """A rule began to block a client's messages to a country. `mode`: with `record` they are sent all the same."""

    rule: str
    mode: str
    country: str


@dataclass(frozen=True)
class CeilingShare:
    """A ceiling has reached `percent`: 50, 80 or 100. `country`: only of one per country."""

    scope: Scope
    percent: int
    country: str | None


@dataclass(frozen=True)
class ExpectedTakeovers:
    """Wrong checks of the last hour are expected to have opened so many accounts: more than the alarm."""

    purpose: str
    expected_per_hour: float


GuardEvent = Alarm | CeilingShare | ExpectedTakeovers
_TYPES: dict[str, type[GuardEvent]] = {
    "guard.alarm": Alarm,
    "guard.ceiling": CeilingShare,
    "guard.takeovers": ExpectedTakeovers,
}
_NAMES = {of: name for name, of in _TYPES.items()}


def record(tx: Connection, client_id: str | None, event: GuardEvent, now: float) -> None:
    """Record an event for the webhooks of a client; None: of every client."""
    webhook_events.record_object(tx, client_id, _NAMES[type(event)], json.dumps(asdict(event)), now=now)


def read(event_type: str, data: str) -> GuardEvent:
    """Return what an event is about, as `record` kept it."""
    return _TYPES[event_type](**json.loads(data))
