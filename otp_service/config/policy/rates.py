"""How often, and how long to wait: the rates and the failure waits that a policy names."""

import re
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"([0-9]{1,7}) */ *(?:([0-9]{1,7}) +)?(second|minute|hour|day)s?")
_LONGEST_PERIOD = 366 * 86400


@dataclass(frozen=True, slots=True)
class Rate:
    """Bursts of `burst`, refilled evenly over `period` seconds."""

    burst: int
    period: float

    @property
    def interval(self) -> float:
        """Return the seconds until one more is refilled."""
        return self.period / self.burst


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Parse rates such as `"5/hour; 10/day"` and `"25/5 minutes"`; `""` and `"0"` are off: `()`. Raises ValueError."""
    if text.strip() in {"", "0"}:
        return ()
    # The same rate written twice is one limit.
    return tuple(dict.fromkeys(_parse_rate(part.strip()) for part in text.split(";")))


def _parse_rate(text: str) -> Rate:
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError('must be like "5/hour; 10/day" or "25/5 minutes", or "" to turn it off')
    burst, period = int(match[1]), int(match[2] or 1) * _UNITS[match[3]]
    if burst < 1 or not 1 <= period <= _LONGEST_PERIOD:
        raise ValueError('must allow at least 1 in a period of 1 second to 366 days; "" turns it off')
    return Rate(burst, float(period))


class Failures(BaseModel):
    """How wrong checks in a row make a number wait. Counts, and seconds; see `wait_after`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    free: StrictInt = Field(default=10, ge=0, le=1000)
    first_wait: StrictInt = Field(default=30, ge=0, le=86400)
    longest_wait: StrictInt = Field(default=3600, ge=0, le=30 * 86400)
    lock_after: StrictInt = Field(default=100, ge=1, le=10000)
    lock_for: StrictInt = Field(default=2592000, ge=1, le=366 * 86400)

    def wait_after(self, count: int) -> float:
        """Return the seconds from the last of `count` wrong checks in a row until the next one is compared."""
        if count >= self.lock_after:
            return float(self.lock_for)
        if count < self.free:
            return 0.0
        doublings = min(count - max(self.free, 1), 32)  # 2**32 seconds are past every longest_wait
        return float(min(self.first_wait * 2**doublings, self.longest_wait))

    def looser(self, times: int) -> Self:
        """Return the waits of so many times as many wrong checks."""
        return self.model_copy(update={"free": self.free * times, "lock_after": self.lock_after * times})
