"""The circuit breaker of one route: it stops sends to a gateway that fails, then lets one through at a time."""

from dataclasses import dataclass
from typing import Literal

from otp_service.gateways.base import Outcome, Sent

State = Literal["closed", "open", "probing"]

OPEN = "breaker_open"
"""The reason of a send that it refused."""
OPENS_AT = 20
"""Failures in a row."""
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 30.0
PROBE_SECONDS = 15.0
"""A probe without an outcome by then was cut off: no call takes longer."""

# Of ERROR, a failed message and most of HTTP 4xx the cause can be the carrier, number or text of one message. They open
# nothing, or one client could close a route to all others by naming a carrier that the gateway rejects.
_GATEWAY_FAILED = frozenset(
    {"not_connected", "timeout", "connection_lost", "bad_signature", "unreadable", "http_401", "http_408", "http_429"}
)
_NOT_SENT = frozenset({"bad_segment", "url_too_long", "no_carrier"})
"""Reasons of our own: there was no call, so they say nothing about the gateway."""


@dataclass
class Breaker:
    """A circuit breaker. Each process has its own: it saves calls, and no limit or count depends on it."""

    state: State = "closed"
    _failures: int = 0
    _pause: float = FIRST_PAUSE_SECONDS
    _until: float = 0.0

    def allows(self, now: float) -> bool:
        """Return whether a send may go out. After the pause one may, as the probe; others wait for its outcome."""
        if self.state == "closed":
            return True
        if now < self._until:
            return False
        self.state, self._until = "probing", now + PROBE_SECONDS
        return True

    def describe(self, now: float) -> Literal["closed", "open", "half_open"]:
        """Return the state for people and monitors. `half_open`: the next send is the probe, or a probe is out."""
        if self.state == "closed":
            return "closed"
        return "open" if self.state == "open" and now < self._until else "half_open"

    def record(self, sent: Sent, now: float) -> None:
        """Record the outcome of a send that was allowed."""
        if sent.reason in _NOT_SENT:
            if self.state == "probing":
                self.state, self._until = "open", now  # the next send is the probe
        elif not _gateway_failed(sent):
            self.state, self._failures, self._pause = "closed", 0, FIRST_PAUSE_SECONDS
        elif self.state == "closed":
            self._failures += 1
            if self._failures >= OPENS_AT:
                self._open(now)
        elif self.state == "probing":
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            self._open(now)

    def _open(self, now: float) -> None:
        self.state, self._until = "open", now + self._pause


def _gateway_failed(sent: Sent) -> bool:
    return sent.outcome is not Outcome.ACCEPTED and is_failure_of_gateway(sent.reason)


def is_failure_of_gateway(reason: str) -> bool:
    """Return whether the gateway failed, rather than one message."""
    return reason in _GATEWAY_FAILED or reason.startswith("http_5")
