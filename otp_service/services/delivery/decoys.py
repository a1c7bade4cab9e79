"""Decoys: they imitate what became of real messages lately in this process, and send nothing."""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field, replace

from otp_service.gateways import breaker
from otp_service.gateways.base import DeliveryStatus, Outcome, Sent

KEPT = 256
"""Of each purpose: enough that no statistical test of some hundred starts tells a decoy apart."""
OUTAGE_AFTER = 3
"""Messages in a row that the gateway failed: one alone can be about its number, which a person may choose."""
JITTER = 0.05
"""Of a drawn time: a time that repeats exactly would give a decoy away."""

_random = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class RecentSend:
    """How a real message went. `seconds`: at the gateway, all routes together; `route`: the last one."""

    seconds: float
    route: str
    outcome: Outcome
    reason: str


TYPICAL = RecentSend(0.4, "", Outcome.ACCEPTED, "ok")
"""Is imitated before the first real message."""


@dataclass
class _Deck:
    """The newest accepted messages. `undrawn`: those to draw from, so that drawn times spread like the real ones."""

    newest: deque[RecentSend] = field(default_factory=deque)
    undrawn: list[RecentSend] = field(default_factory=list)

    def add(self, send: RecentSend) -> None:
        if len(self.newest) == KEPT:
            oldest = self.newest.popleft()
            self.undrawn = [each for each in self.undrawn if each is not oldest]
        self.newest.append(send)
        self.undrawn.append(send)

    def draw(self) -> RecentSend:
        self.undrawn = self.undrawn or list(self.newest)
        return self.undrawn.pop(_random.randrange(len(self.undrawn)))


class RecentSends:
    """The newest real messages of each purpose, and how long their receipts took."""

    def __init__(self) -> None:
        self._decks: dict[str | None, _Deck] = {}
        self._failures: list[RecentSend] = []
        self._receipts: deque[tuple[float, DeliveryStatus]] = deque(maxlen=KEPT)

    def record(self, purpose: str, send: RecentSend) -> None:
        """Record how a message went."""
        if send.outcome is Outcome.ACCEPTED:
            for key in (purpose, None):
                self._decks.setdefault(key, _Deck()).add(send)
            self._failures = []
        elif send.reason == breaker.OPEN or breaker.is_failure_of_gateway(send.reason):
            self._failures = [*self._failures, send][-OUTAGE_AFTER:]

    def draw(self, purpose: str) -> RecentSend:
        """Return a send to imitate: a failure during an outage of the gateway, else an accepted one.

        Its time is that of a message of this purpose; of any purpose if there is none yet.
        """
        if len(self._failures) == OUTAGE_AFTER:
            return _with_jitter(self._failures[-1])
        deck = self._decks.get(purpose) or self._decks.get(None)
        return _with_jitter(deck.draw() if deck is not None else TYPICAL)

    def record_receipt(self, seconds: float, status: DeliveryStatus) -> None:
        """Record a final receipt, and how long after the send it came."""
        self._receipts.append((seconds, status))

    def draw_receipt(self) -> tuple[float, DeliveryStatus] | None:
        """Return the delay and the status of one of the newest receipts; None if none has come."""
        return _random.choice(self._receipts) if self._receipts else None


async def imitate(real: RecentSend, route: str, *, longest: float) -> Sent:
    """Wait as long as a real message took at the gateway, `longest` at most; return the same outcome."""
    await asyncio.sleep(min(real.seconds, longest))
    makes_pin = real.outcome is Outcome.ACCEPTED and route == "pin"
    return Sent(real.outcome, real.reason, pin=no_pin() if makes_pin else None)


def no_pin() -> str:
    """Return a random text that is hashed in place of a PIN: no PIN equals it."""
    return secrets.token_hex(16)


def _with_jitter(send: RecentSend) -> RecentSend:
    return replace(send, seconds=send.seconds * _random.uniform(1 - JITTER, 1 + JITTER))
