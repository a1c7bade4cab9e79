"""How many processors this process may keep busy."""

import math
import os
from contextlib import suppress
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use, limited by its container's quota (cgroup v2, `cpu.max`)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no quota: there is no such file, or it says `max`
        microseconds, period = quota.read_text().split()
        cores = min(cores, max(1, math.ceil(int(microseconds) / int(period))))
    return cores
