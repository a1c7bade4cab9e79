"""Finds verifications by number, subject or reference, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.tables import PENDING, clients, verifications
from otp_service.storage.verifications.endings import ENDS_AS, ENDS_AT
from otp_service.storage.verifications.verifications import COLUMNS

v = verifications.c


@dataclass(frozen=True)
class Filter:
    """What a verification must match; None matches all. `before`: the (created_at, id) that it is older than.

    An index is read only if `client_id` or all clients, and a number, a subject or a reference are given, or an id.
    """

    client_id: str | None = None
    verification_id: str | None = None
    number_id: int | None = None
    subject: str | None = None
    reference: str | None = None
    status: str | None = None
    created_from: float | None = None
    before: tuple[float, str] | None = None
    purpose: str | None = None
    without_session: bool = False


def find(tx: Connection, wanted: Filter, *, now: float, limit: int) -> Sequence[AnyRow]:
    """Return verifications, newest first: `COLUMNS`, `number_masked`, `factor_id` and the name of the `client`.

    A client's own have no challenges among them.
    """
    columns = (*COLUMNS, v.number_masked, v.factor_id, clients.c.name.label("client"))
    statement = sa.select(*columns).join_from(verifications, clients, clients.c.id == v.client_id)
    exact = {
        v.client_id: wanted.client_id,
        v.id: wanted.verification_id,
        v.number_id: wanted.number_id,
        v.purpose: wanted.purpose,
        v.subject: wanted.subject,
        v.reference: wanted.reference,
        sa.case((sa.and_(v.status == PENDING, now >= ENDS_AT), ENDS_AS), else_=v.status): wanted.status,
    }
    statement = statement.where(*(column == value for column, value in exact.items() if value is not None))
    if wanted.client_id is not None:
        statement = statement.where(v.subject_id.is_(None))
    if wanted.created_from is not None:
        statement = statement.where(v.created_at >= wanted.created_from)
    if wanted.without_session:
        statement = statement.where(v.session_digest.is_(None))
    if wanted.before is not None:
        statement = statement.where(sa.tuple_(v.created_at, v.id) < sa.tuple_(*map(sa.literal, wanted.before)))
    return tx.execute(statement.order_by(v.created_at.desc(), v.id.desc()).limit(limit)).all()
