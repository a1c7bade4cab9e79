"""Twists of a Replica that change the time of its machine."""

import signal
import time
from functools import partial

from tests.faults.replica import Twist

HOUR = 3600.0


def _shift(at_start: float, at_signal: float) -> None:
    """Shifts the clock of the process, and lets SIGUSR1 make it jump."""
    real, offset = time.time, [at_start]

    def jump(*_: object) -> None:
        offset[0] += at_signal

    signal.signal(signal.SIGUSR1, jump)
    time.time = lambda: real() + offset[0]


def begins(seconds: float) -> Twist:
    """The machine's clock is ahead by this many seconds when the process starts."""
    return partial(_shift, seconds, 0.0)


def jumps(seconds: float) -> Twist:
    """The machine's clock jumps by this many seconds at SIGUSR1."""
    return partial(_shift, 0.0, seconds)
