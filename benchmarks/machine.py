"""The speed of this machine without the service: the raw hash rate, and the cost of processes."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from argon2 import Type
from argon2.low_level import hash_secret

from otp_service.hashing.argon2 import parse_argon2_cost
from otp_service.hashing.cores import usable_cores

_TICKS = os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError)


def raw_hash_rate(argon2: str, seconds: float = 3.0) -> float:
    """Argon2id runs per second on all cores, with nothing around them, in the memory that the library takes itself."""
    cost, cores = parse_argon2_cost(argon2), usable_cores()
    begun = time.perf_counter()
    until = begun + seconds

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            hash_secret(b"p" * 32, b"s" * 16, cost.iterations, cost.memory_kib, cost.lanes, 32, Type.ID)
            done += 1
        return done

    with ThreadPoolExecutor(cores) as threads:
        total = sum(threads.map(work, range(cores)))
    return total / (time.perf_counter() - begun)


def tree(pid: int) -> list[int]:
    """Returns a process and all its descendants."""
    found, rest = [], [pid]
    while rest:
        each = rest.pop()
        found.append(each)
        with suppress(*_GONE):
            for task in Path(f"/proc/{each}/task").iterdir():
                rest += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Returns the user and system time of a process and all its descendants."""
    total = 0
    for each in tree(pid):
        with suppress(*_GONE):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:13]))
    return total / _TICKS


def memory_mb(pid: int) -> float:
    """Returns the resident memory of a process and all its descendants."""
    total = 0
    for each in tree(pid):
        with suppress(*_GONE):
            lines = Path(f"/proc/{each}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total / 1024
