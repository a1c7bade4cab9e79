"""What this machine can do beside the service: the raw hash rate, and what processes cost."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from argon2 import Type
from argon2.low_level import hash_secret

from otp_service.argon2_cost import Argon2Cost
from otp_service.hashing import usable_cores

_TICKS = os.sysconf("SC_CLK_TCK")


def raw_hash_rate(cost: Argon2Cost, seconds: float = 3.0) -> float:
    """Argon2id runs per second on all cores, with nothing around them."""
    cores = usable_cores()
    until = time.perf_counter() + seconds

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            hash_secret(b"p" * 32, b"s" * 16, cost.iterations, cost.memory_kib, cost.lanes, 32, Type.ID)
            done += 1
        return done

    begun = time.perf_counter()
    with ThreadPoolExecutor(cores) as threads:
        total = sum(threads.map(work, range(cores)))
    return total / (time.perf_counter() - begun)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, rest = [], [pid]
    while rest:
        each = rest.pop()
        found.append(each)
        try:
            for task in os.listdir(f"/proc/{each}/task"):
                with open(f"/proc/{each}/task/{task}/children") as file:
                    rest += map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it, the ended ones included."""
    total = 0
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(map(int, fields[11:15] if each == pid else fields[11:13]))
    return total / _TICKS


def memory_mb(pid: int) -> float:
    """Resident memory of a process and all below it."""
    total = 0
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/status") as file:
                line = next((line for line in file if line.startswith("VmRSS:")), "VmRSS: 0 kB")
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(line.split()[1])
    return total / 1024
