"""`OTP_ARGON2`: what one hash of a PIN costs."""

import re
from dataclasses import dataclass

_COST = re.compile(r"m=([0-9]{1,7}),t=([0-9]{1,2}),p=([0-9]{1,2})")
_OWASP = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
"""Equally strong (KiB, iterations) at p=1: OWASP Password Storage Cheat Sheet, Argon2id."""


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """Memory in KiB, iterations, and lanes, of which only 1 is allowed."""

    memory_kib: int
    iterations: int
    lanes: int

    @property
    def is_weak(self) -> bool:
        """Whether it is weaker than each of OWASP's settings."""
        return not any(self.memory_kib >= memory and self.iterations >= count for memory, count in _OWASP)


def parse_argon2_cost(text: str) -> Argon2Cost:
    """`m=19456,t=2,p=1` (KiB, iterations, lanes). Raises ValueError for what Argon2 or this machine cannot do."""
    match = _COST.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError("should be like m=19456,t=2,p=1")
    cost = Argon2Cost(int(match[1]), int(match[2]), int(match[3]))
    if cost.lanes != 1:
        raise ValueError("should have p=1: the hash threads are the parallel part")
    if not 8 <= cost.memory_kib <= 1048576 or not 1 <= cost.iterations <= 20:
        raise ValueError("should have m from 8 to 1048576 KiB and t from 1 to 20")
    return cost
