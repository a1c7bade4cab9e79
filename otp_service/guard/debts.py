"""The debt of a row: messages that no approval has paid back."""

from otp_service.guard import limits
from otp_service.guard.keys import Key
from otp_service.guard.rows import Row
from otp_service.guard.usual import busiest_hour


def limit_of(key: Key, row: Row) -> float:
    """Return the debt at which a row sends no more."""
    return limits.DEBT.get(key.kind, 0.0) + limits.DEBT_OF_USUAL * busiest_hour(row)


def drained(key: Key, row: Row, at: float) -> float:
    """Return the debt that is left at `at`."""
    return max(0.0, row.debt - limit_of(key, row) * max(0.0, at - row.touched) / limits.LEAK)


def known_drained(row: Row, at: float) -> float:
    """Return the debt of messages to known people that is left at `at`."""
    return max(0.0, row.known_debt - limits.KNOWN_DEBT * max(0.0, at - row.touched) / limits.LEAK)
