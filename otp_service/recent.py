"""What there was lately: how much of it per second, and how long the longest took."""

import math

from otp_service.clock import elapsed


class Longest:
    """The longest that something took lately; it fades over the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._fades = seconds
        self._longest = 0.0
        self._at = elapsed()

    def note(self, seconds: float) -> None:
        """It took so long just now."""
        self._longest = max(seconds, self.seconds())
        self._at = elapsed()

    def seconds(self) -> float:
        """As of now."""
        return self._longest * math.exp((self._at - elapsed()) / self._fades)


class Recent:
    """How much of something there is per second, averaged over the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._value = 0.0
        self._at = elapsed()

    def add(self, amount: float) -> None:
        """There was so much of it just now."""
        self._value = self.per_second() + amount / self._seconds

    def forget(self) -> None:
        """There was none."""
        self._value = 0.0

    def per_second(self) -> float:
        """As of now."""
        now = elapsed()
        self._value *= math.exp((self._at - now) / self._seconds)
        self._at = now
        return self._value
