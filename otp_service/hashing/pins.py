"""PINs: generating them, and cleaning what a user types."""

import re
import secrets

MIN_LENGTH, MAX_LENGTH = 6, 10
_TYPED = re.compile(r"[0-9 -]{1,64}")


def generate(length: int) -> str:
    """Return a PIN of `length` ASCII digits from the random source of the operating system."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def clean(typed: str) -> str | None:
    """Return the digits of what a user typed, without spaces and hyphens, or None if they cannot be a PIN."""
    if not _TYPED.fullmatch(typed):
        return None
    digits = typed.replace(" ", "").replace("-", "")
    return digits if MIN_LENGTH <= len(digits) <= MAX_LENGTH else None
