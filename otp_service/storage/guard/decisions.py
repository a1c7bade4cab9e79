"""The table `guard_decisions`: each request that a rule would block, kept for the operator."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.batches import delete, lock
from otp_service.storage.tables import guard_decisions

d = guard_decisions.c
APPROVED_WITHIN_SECONDS = 86400.0
"""An approval of the number this long after a decision says that the decision was wrong."""

SENT, REFUSED, DECOY = "sent", "refused", "decoy"
"""What was done with a request."""


def insert(tx: Connection, values: Mapping[str, Any]) -> None:
    """Add a decision."""
    tx.execute(sa.insert(guard_decisions).values(**values))


def approve(tx: Connection, *, pseudonym: str, client_id: str, at: float) -> None:
    """Record that the number of earlier decisions, which has this pseudonym, was approved after all.

    A blocked request leaves no row of its number: the id of one could be another number's by now.
    """
    tx.execute(
        sa.update(guard_decisions)
        .where(d.pseudonym == pseudonym, d.client_id == client_id, d.approved_at.is_(None))
        .where(d.at >= at - APPROVED_WITHIN_SECONDS, d.at <= at)
        .values(approved_at=at)
    )


def newest(
    tx: Connection, *, since: float, rule: str | None, country: str | None, before: tuple[float, str] | None, limit: int
) -> Sequence[AnyRow]:
    """Return decisions since then, newest first. `before`: (at, id) of the last one of the page before."""
    statement = sa.select(guard_decisions).where(d.at >= since)
    if rule is not None:
        statement = statement.where(d.rule == rule)
    if country is not None:
        statement = statement.where(d.country == country)
    if before is not None:
        statement = statement.where(sa.tuple_(d.at, d.id) < sa.tuple_(*before))
    return tx.execute(statement.order_by(d.at.desc(), d.id.desc()).limit(limit)).all()


def newest_of_pseudonym(tx: Connection, *, pseudonym: str, since: float) -> AnyRow | None:
    """Return the newest decision since then about the number of a pseudonym, None if there is none."""
    statement = sa.select(guard_decisions).where(d.at >= since, d.pseudonym == pseudonym)
    return tx.execute(statement.order_by(d.at.desc(), d.id.desc()).limit(1)).first()


def refused(tx: Connection, *, after: tuple[float, str], until: float, limit: int) -> Sequence[AnyRow]:
    """Return requests that were not sent, oldest first: the columns of `messages.in_period`, as far as there are any.

    `after`: (at, id) of the last one of the page before.
    """
    statement = (
        sa.select(
            d.at, d.id, d.client_id, d.pseudonym, sa.null().label("address_digest"), sa.null().label("approved_at")
        )
        .where(d.action != SENT, d.at <= until, sa.tuple_(d.at, d.id) > sa.tuple_(*after))
        .order_by(d.at, d.id)
    )
    return tx.execute(statement.limit(limit)).all()


def count(tx: Connection, *, since: float, until: float) -> Sequence[AnyRow]:
    """Return `rule`, `action`, the count `decisions` and how many were `approved` after all, in this time."""
    counts = sa.func.count().label("decisions"), sa.func.count(d.approved_at).label("approved")
    statement = sa.select(d.rule, d.action, *counts)
    return tx.execute(statement.where(d.at >= since, d.at <= until).group_by(d.rule, d.action)).all()


def first_at(tx: Connection) -> float | None:
    """Return the time of the oldest decision."""
    found: float | None = tx.scalar(sa.select(sa.func.min(d.at)))
    return found


def purge(tx: Connection, before: float) -> int:
    """Delete decisions that were made by then."""
    old = sa.select(d.id).where(d.at <= before)
    return delete(tx, guard_decisions, d.id, lock(tx, old, by=d.at, to_delete=True))
