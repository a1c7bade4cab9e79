"""How much is left of a limit, as callers are told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """`size` requests in `window` seconds, None where the wait differs; `left` now, one more in `more_in` seconds.

    `limit`: its name, of the table in docs/api.md.
    """

    limit: str
    size: int
    window: float | None
    left: int
    more_in: float
