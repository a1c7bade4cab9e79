"""Messages that the guard counted: sends with `guard_keys` and `pseudonym`."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.tables import sends, verifications

s, v = sends.c, verifications.c


def screened(tx: Connection, verification_ids: Sequence[str]) -> Sequence[AnyRow]:
    """Return `verification_id`, `number_id`, `subject`, and of the newest counted message `guard_keys`, `pseudonym`."""
    other = sends.alias()
    of_it = other.c.verification_id == v.id, other.c.guard_keys.is_not(None)
    newest = sa.select(sa.func.max(other.c.id)).where(*of_it).correlate(verifications).scalar_subquery()
    columns = (v.id.label("verification_id"), v.number_id, v.subject, s.guard_keys, s.pseudonym)
    statement = sa.select(*columns).select_from(verifications.outerjoin(sends, s.id == newest))
    return tx.execute(statement.where(v.id.in_(verification_ids))).all()


def in_period(tx: Connection, *, after: tuple[float, int], until: float, limit: int) -> Sequence[AnyRow]:
    """Return messages that the guard counted, oldest first.

    Columns: `at`, `id`, `client_id`, `pseudonym`, `address_digest`; `approved_at` of the newest message of an approved
    verification. `after`: (at, id) of the last one of the page before. Verifications of which nothing was sent are left
    out.
    """
    other = sends.alias()
    of_the_same = other.c.verification_id == s.verification_id, other.c.pseudonym.is_not(None)
    newest = sa.select(sa.func.max(other.c.id)).where(*of_the_same).scalar_subquery()
    approved = sa.and_(v.status == "approved", s.id == newest)
    columns = (s.started_at.label("at"), s.id, v.client_id, s.pseudonym, v.address_digest)
    statement = (
        sa.select(*columns, sa.case((approved, v.ended_at)).label("approved_at"))
        .join(verifications, v.id == s.verification_id)
        .where(s.pseudonym.is_not(None), s.started_at >= after[0], s.started_at <= until, v.status != "failed")
        .where(sa.or_(s.started_at > after[0], s.id > after[1]))
        .order_by(s.started_at, s.id)
    )
    return tx.execute(statement.limit(limit)).all()


def first_at(tx: Connection) -> float | None:
    """Return the time of the oldest message that the guard counted."""
    found: float | None = tx.scalar(sa.select(sa.func.min(s.started_at)).where(s.pseudonym.is_not(None)))
    return found
