"""What there was lately: how much of it per second, and how long the longest took."""

import math

from otp_service.clock import elapsed


class _Fading:
    """A value that fades: to a third over `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._fades = seconds
        self._value = 0.0
        self._at = elapsed()

    def _now(self) -> float:
        now = elapsed()
        self._value *= math.exp((self._at - now) / self._fades)
        self._at = now
        return self._value


class Recent(_Fading):
    """How much of something there is per second, averaged over the last `seconds`."""

    def add(self, amount: float) -> None:
        """There was so much of it just now."""
        self._value = self._now() + amount / self._fades

    def forget(self) -> None:
        """There was none."""
        self._value = 0.0

    def per_second(self) -> float:
        """As of now."""
        return self._now()


class Longest(_Fading):
    """The longest that something took lately; it fades over the last `seconds`."""

    def note(self, seconds: float) -> None:
        """It took so long just now."""
        self._value = max(seconds, self._now())

    def seconds(self) -> float:
        """As of now."""
        return self._now()
