"""Receipts that came before the message was written down, or that are about none of ours."""

from collections import deque
from dataclasses import dataclass

from otp_service.gateways.base import Receipt

MOST = 1000
"""The oldest fall out: anybody who knows the callback's address can fill it."""
LOOKS_AFTER_SECONDS = (1.0, 4.0, 12.0, 30.0)
"""Longer than a send and its transaction take together."""


@dataclass(frozen=True)
class Early:
    """A receipt that came at `came_at` and was looked up again `looks` times."""

    receipt: Receipt
    came_at: float
    looks: int = 0

    @property
    def due_at(self) -> float:
        """When to look it up next."""
        return self.came_at + LOOKS_AFTER_SECONDS[self.looks]


class EarlyReceipts:
    """Kept by each process for itself, in memory: what it loses, polling brings back."""

    def __init__(self) -> None:
        self._waiting: deque[Early] = deque(maxlen=MOST)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, receipt: Receipt, now: float) -> None:
        """Keeps a receipt for a while."""
        self._waiting.append(Early(receipt, now))

    def take_due(self, now: float) -> list[Early]:
        """Those that should be looked up now; they are kept no longer."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self._waiting.extend(each for each in waiting if each.due_at > now)
        return [each for each in waiting if each.due_at <= now]

    def keep(self, early: Early) -> None:
        """Keeps one that was looked up in vain, unless that was its last look."""
        looks = early.looks + 1
        if looks < len(LOOKS_AFTER_SECONDS):
            self._waiting.append(Early(early.receipt, early.came_at, looks))
