"""How a pending verification ends by itself: it expires, or the check that spent its last attempt died.

Reads apply this rule at once; the sweeps write it.
"""

import sqlalchemy as sa

from otp_service.database.statements import AnyRow
from otp_service.storage.tables import verifications

v = verifications.c

COMPARING_SECONDS = 12.0
"""A check records its result sooner: 2 s in the queue at most, a hash, a short transaction. After that its process, or
the database, died, and no result will come."""

ALL_SPENT = v.attempts_spent >= v.attempts
LOST_AT = v.spent_at + COMPARING_SECONDS
ENDS_AS = sa.case((ALL_SPENT, "exhausted"), else_="expired")
ENDS_AT = sa.case((sa.and_(ALL_SPENT, v.expires_at > LOST_AT), LOST_AT), else_=v.expires_at)


def ending(row: AnyRow) -> tuple[str, float]:
    """Return the status that a pending verification ends with by itself, and when: `ENDS_AS`, `ENDS_AT`."""
    if row.attempts_spent < row.attempts:
        return "expired", row.expires_at
    # The previous release records no time.
    return "exhausted", min(row.expires_at, row.spent_at + COMPARING_SECONDS) if row.spent_at else row.expires_at


def status_at(row: AnyRow, now: float) -> str:
    """Return the status of a verification at a time."""
    if row.status != "pending":
        return str(row.status)
    status, at = ending(row)
    return status if at <= now else "pending"
