"""Argon2id: the cost of a hash (`OTP_ARGON2`), and whether this machine runs it as fast as it can."""

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from argon2.low_level import Type, hash_secret

HASH_BYTES = 32
_COST = re.compile(r"m=([0-9]{1,7}),t=([0-9]{1,2}),p=([0-9]{1,2})")
_OWASP = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
"""Equally strong (KiB, iterations) at p=1: OWASP Password Storage Cheat Sheet, Argon2id."""
_INDEX_TAGS = ("manylinux", "musllinux")
"""Tags of a wheel that any Linux may install; one built on this machine has `linux_x86_64` or the like."""


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """Memory in KiB, iterations, and lanes, which must be 1."""

    memory_kib: int
    iterations: int
    lanes: int

    @property
    def is_weak(self) -> bool:
        """Return whether the cost is weaker than each of OWASP's settings."""
        return not any(self.memory_kib >= memory and self.iterations >= count for memory, count in _OWASP)


def parse_argon2_cost(text: str) -> Argon2Cost:
    """Parse `m=19456,t=2,p=1` (KiB, iterations, lanes). Raises ValueError if Argon2 or this machine cannot do it."""
    match = _COST.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError("must be like m=19456,t=2,p=1")
    cost = Argon2Cost(int(match[1]), int(match[2]), int(match[3]))
    if cost.lanes != 1:
        raise ValueError("must have p=1: the hash threads are the parallel part")
    if not 8 <= cost.memory_kib <= 1048576 or not 1 <= cost.iterations <= 20:
        raise ValueError("must have m from 8 to 1048576 KiB and t from 1 to 20")
    return cost


def argon2id(secret: bytes, salt: bytes, iterations: int, memory_kib: int) -> str:
    """Return the PHC string of a secret."""
    return hash_secret(secret, salt, iterations, memory_kib, 1, HASH_BYTES, Type.ID).decode()


def is_index_build() -> bool:
    """Return whether the library is the package index's own build, made for every processor."""
    wheel = distribution("argon2-cffi-bindings").read_text("WHEEL") or ""
    return any(tag in wheel for tag in _INDEX_TAGS)


def has_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether this processor has AVX2, which the index's build does not use; False if unknown."""
    try:
        return "avx2" in cpuinfo.read_text().split()
    except OSError:
        return False


def is_malloc_tuned() -> bool:
    """Return whether malloc uses large pages and keeps memory between hashes; True if it is not glibc's."""
    return platform.libc_ver()[0] != "glibc" or "glibc.malloc.hugetlb=1" in os.environ.get("GLIBC_TUNABLES", "")
