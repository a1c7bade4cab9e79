"""The circuit breaker of one route: a gateway that fails for long is left alone, and asked again one send at a time."""

from dataclasses import dataclass
from typing import Literal

from otp_service.gateways.base import Outcome, Sent

State = Literal["closed", "open", "probing"]

OPENS_AT = 80
FAILED, ODD = 4, 1
"""What a failure weighs, in a row: twenty open it. An answer that cannot be used weighs less: it can be about the
message."""
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 30.0
PROBE_SECONDS = 15.0
"""A probe that nobody has heard of by then was cut off; longer than any call."""

_FAILED = frozenset({"not_connected", "timeout", "connection_lost", "error", "bad_signature"})
_NEVER_LEFT = frozenset({"bad_segment", "url_too_long", "no_carrier"})
_ODD = frozenset({"unreadable", "no_pin", "no_message"})


@dataclass
class Breaker:
    """Kept by each process for itself: it saves calls, and no decision on what a message counts rests on it."""

    state: State = "closed"
    _weight: int = 0
    _pause: float = FIRST_PAUSE_SECONDS
    _until: float = 0.0

    def admits(self, now: float) -> bool:
        """Whether a send may go out. After the pause one may, as the probe; the others wait for how it went."""
        if self.state == "closed":
            return True
        if now < self._until:
            return False
        self.state, self._until = "probing", now + PROBE_SECONDS
        return True

    def shown(self, now: float) -> Literal["closed", "open", "half_open"]:
        """For people and monitors. Half open: the next send is the probe, or one is under way."""
        if self.state == "closed":
            return "closed"
        return "open" if self.state == "open" and now < self._until else "half_open"

    def note(self, sent: Sent, now: float) -> None:
        """How a send went that was admitted."""
        weight = _weight_of(sent)
        if sent.reason in _NEVER_LEFT:
            if self.state == "probing":
                self.state, self._until = "open", now  # the next one may be the probe
        elif weight == 0:
            self.state, self._weight, self._pause = "closed", 0, FIRST_PAUSE_SECONDS
        elif self.state == "closed":
            self._weight += weight
            if self._weight >= OPENS_AT:
                self._open(now)
        elif self.state == "probing":
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            self._open(now)

    def _open(self, now: float) -> None:
        self.state, self._until = "open", now + self._pause


def _weight_of(sent: Sent) -> int:
    """0: the gateway works, whatever it thought of this message."""
    if sent.outcome is Outcome.ACCEPTED:
        return 0
    if sent.reason in _FAILED or sent.reason.startswith("http_"):
        return FAILED
    return ODD if sent.reason in _ODD else 0
