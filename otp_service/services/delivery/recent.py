"""What became of real messages lately in this process: decoys imitate it."""

import time
from collections import deque
from dataclasses import dataclass
from secrets import SystemRandom

from otp_service.gateways.base import DeliveryStatus, Outcome

KEPT = 256
"""Of each purpose: enough that no statistical test of some hundred starts tells a decoy apart."""
FAILURE_SECONDS = 60.0
"""A failure is imitated for this long: after that, the gateway may have recovered."""
JITTER = 0.05
"""Of a drawn time: a time that repeats exactly would give a decoy away."""

_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class RecentSend:
    """How a real message went. `seconds`: at the gateway, all routes together; `route`: the last one."""

    seconds: float
    route: str
    outcome: Outcome
    reason: str


TYPICAL = RecentSend(0.4, "", Outcome.ACCEPTED, "ok")
"""Is imitated before the first real message."""


class RecentSends:
    """The newest real messages of each purpose, and how long their receipts took."""

    def __init__(self) -> None:
        self._sends: dict[str, deque[RecentSend]] = {}
        self._ended: dict[str, float] = {}
        self._decks: dict[tuple[str, Outcome], list[RecentSend]] = {}
        self._receipts: deque[tuple[float, DeliveryStatus]] = deque(maxlen=KEPT)

    def record(self, purpose: str, send: RecentSend) -> None:
        """Record how a message went."""
        self._sends.setdefault(purpose, deque(maxlen=KEPT)).append(send)
        self._ended[purpose] = time.monotonic()

    def draw(self, purpose: str) -> RecentSend:
        """Return a send to imitate: the outcome of the newest one, the time of any with that outcome.

        Each is drawn once before any is drawn again, so that the drawn times spread like the real ones.
        """
        sends = self._sends.get(purpose)
        if not sends:
            return _with_jitter(TYPICAL)
        is_fresh = time.monotonic() < self._ended[purpose] + FAILURE_SECONDS
        outcome = sends[-1].outcome if is_fresh else Outcome.ACCEPTED
        deck = self._decks.setdefault((purpose, outcome), [])
        if not deck:
            deck += [send for send in sends if send.outcome is outcome] or [TYPICAL]
            _random.shuffle(deck)
        return _with_jitter(deck.pop())

    def record_receipt(self, seconds: float, status: DeliveryStatus) -> None:
        """Record a final receipt, and how long after the send it came."""
        self._receipts.append((seconds, status))

    def draw_receipt(self) -> tuple[float, DeliveryStatus] | None:
        """Return the delay and the status of one of the newest receipts; None if none has come."""
        return _random.choice(self._receipts) if self._receipts else None


def _with_jitter(send: RecentSend) -> RecentSend:
    seconds = send.seconds * _random.uniform(1 - JITTER, 1 + JITTER)
    return RecentSend(seconds, send.route, send.outcome, send.reason)
