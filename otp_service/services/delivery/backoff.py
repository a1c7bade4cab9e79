"""How long what was refused for sure waits before it is tried again."""

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 600.0


def seconds(tries: int) -> float:
    """After so many tries: twice as long each time."""
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(max(tries - 1, 0), 10))
