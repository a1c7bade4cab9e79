"""The table `subject_failures`: consecutive wrong checks of a subject, over all its factors and challenges.

`attempts.spend` counts them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow
from otp_service.storage.tables import subject_failures

f = subject_failures.c

FACTORS, RECOVERY_CODES = "factors", "recovery_codes"
"""The kinds. Recovery codes have a count of their own, so that who locks the one does not lock the owner out."""


_SUBJECT = sa.bindparam("subject", type_=f.subject_id.type)
_OF_KIND = Compiled(
    lambda _: sa.select(f.waits_until).where(f.subject_id == _SUBJECT, f.kind == sa.bindparam("kind", type_=sa.Text))
)


def waits_until(tx: Connection, subject_id: int, kind: str) -> float:
    """Return the time until which the next check waits; 0 if nothing is counted."""
    row = _OF_KIND.first(tx, {"subject": subject_id, "kind": kind})
    return float(row.waits_until) if row is not None else 0.0


def of_subject(tx: Connection, subject_id: int) -> Sequence[AnyRow]:
    """Return the counts of a subject: `kind`, `checks`, `waits_until`, `last_at`."""
    columns = (f.kind, f.checks, f.waits_until, f.last_at)
    return tx.execute(sa.select(*columns).where(f.subject_id == subject_id).order_by(f.kind)).all()


def give_back(tx: Connection, subject_id: int, kind: str, *, spent_at: float) -> None:
    """Take back the count of a check that was right, and the wait that it began."""
    waits_until = sa.case((f.last_at == spent_at, 0.0), else_=f.waits_until)
    statement = sa.update(subject_failures).where(f.subject_id == subject_id, f.kind == kind, f.checks > 0)
    tx.execute(statement.values(checks=f.checks - 1, waits_until=waits_until))


_CLEAR = Compiled(lambda _: sa.delete(subject_failures).where(f.subject_id == _SUBJECT).returning(f.kind))


def clear(tx: Connection, subject_id: int) -> int:
    """Clear every count of a subject; return how many there were."""
    return len(_CLEAR.all(tx, {"subject": subject_id}))
