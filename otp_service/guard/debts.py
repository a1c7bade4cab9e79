"""The debt of a row: messages that no approval has paid back."""

from otp_service.guard import limits
from otp_service.guard.keys import Kind
from otp_service.guard.rows import Row
from otp_service.guard.usual import busiest_hour


def limit_of(kind: Kind, row: Row) -> float:
    """Return the highest debt that a row may have."""
    return limits.DEBT.get(kind, 0.0) + limits.DEBT_OF_USUAL * busiest_hour(row)


def debt_at(kind: Kind, row: Row, at: float) -> float:
    """Return the debt that is left at `at`."""
    if not row.debt:
        return 0.0
    return max(0.0, row.debt - limit_of(kind, row) * max(0.0, at - row.touched) / limits.LEAK)


def known_debt_at(row: Row, at: float) -> float:
    """Return the debt of messages to known people that is left at `at`."""
    if not row.known_debt:
        return 0.0
    return max(0.0, row.known_debt - limits.KNOWN_DEBT * max(0.0, at - row.touched) / limits.KNOWN_LEAK)
