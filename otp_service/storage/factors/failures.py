"""The table `subject_failures`: consecutive wrong checks of a subject, over all its factors and challenges.

`attempts.spend` counts them.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.tables import subject_failures

f = subject_failures.c

FACTORS, RECOVERY_CODES = "factors", "recovery_codes"
"""The kinds. Recovery codes have a count of their own, so that who locks the one does not lock the owner out."""


def waits_until(tx: Connection, subject_id: int, kind: str) -> float:
    """Return the time until which the next check waits; 0 if nothing is counted."""
    return tx.scalar(sa.select(f.waits_until).where(f.subject_id == subject_id, f.kind == kind)) or 0.0


def clear(tx: Connection, subject_id: int) -> None:
    """Clear every count of a subject."""
    tx.execute(sa.delete(subject_failures).where(f.subject_id == subject_id))
