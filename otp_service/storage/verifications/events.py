"""The table `events`: what happened to a verification and is in no other table."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.tables import events

MOST_PER_VERIFICATION = 100
"""A bound for checks that compare nothing, which cost no attempt and are recorded too."""

_INSERT = sa.insert(events)


def add(tx: Connection, verification_id: str, *, now: float, kind: str, result: str, route: str | None = None) -> None:
    """Add an event."""
    row = {"verification_id": verification_id, "at": now, "type": kind, "result": result, "route": route}
    tx.execute(_INSERT, row)


def add_bounded(tx: Connection, verification_id: str, *, now: float, kind: str, result: str) -> None:
    """Add an event unless the verification has `MOST_PER_VERIFICATION` of them."""
    e = events.c
    mine = e.verification_id == verification_id
    few = sa.select(sa.func.count()).select_from(events).where(mine).scalar_subquery() < MOST_PER_VERIFICATION
    row = sa.select(*(sa.literal(value) for value in (verification_id, now, kind, result))).where(few)
    tx.execute(sa.insert(events).from_select(["verification_id", "at", "type", "result"], row))


def of_verification(tx: Connection, verification_id: str) -> Sequence[AnyRow]:
    """Return all events of a verification, oldest first."""
    e = events.c
    return tx.execute(
        sa.select(e.at, e.type, e.result, e.route).where(e.verification_id == verification_id).order_by(e.id)
    ).all()
