"""What time it is: elapsed time plus an anchor, so that a jump of the wall clock moves nothing."""

import time
from datetime import UTC, datetime

# CLOCK_BOOTTIME goes on while a laptop sleeps; the monotonic clock would let a PIN outlive its lifetime there.
_ELAPSED_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Return the seconds since a fixed moment; it never jumps."""
    return time.clock_gettime(_ELAPSED_CLOCK)


class Clock:
    """Seconds since the epoch.

    Until it is synchronized with the database, it is the machine's clock at start.
    """

    def __init__(self) -> None:
        self._anchor = time.time() - elapsed()
        self._is_set = False
        self.offset = 0.0
        """Seconds added to every answer; tests shift it."""

    def now(self) -> float:
        """Return the seconds since the epoch, UTC."""
        return elapsed() + self._anchor + self.offset

    def anchor_to(self, server_time: float, measured_at: float) -> None:
        """Set the clock: it was `server_time` when `elapsed()` was `measured_at`."""
        self._anchor = server_time - measured_at
        self._is_set = True

    @property
    def anchor(self) -> float | None:
        """Return what is added to `elapsed()`, None until the clock was set."""
        return self._anchor if self._is_set else None

    def wall_difference(self) -> float:
        """Return the seconds by which the machine's wall clock is ahead of this one."""
        return time.time() - self.now()


def rfc3339(seconds: float) -> str:
    """Format a time as `2026-01-31T10:30:51.922Z` (RFC 3339, UTC, milliseconds)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
