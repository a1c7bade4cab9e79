"""The table `failures`: consecutive wrong checks per client, number and purpose, over all verifications."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, insert_into
from otp_service.storage.tables import failures

f = failures.c


def waits_until(tx: Connection, *, client_id: str, number_id: int, purpose: str) -> float:
    """Return the time until which the next check waits; 0 if nothing is counted."""
    return tx.scalar(sa.select(f.waits_until).where(_of(client_id, number_id, purpose))) or 0.0


CLEAR = """
    DELETE FROM failures WHERE number_id = (SELECT number_id FROM verifications WHERE id = :this)
        AND client_id = :client AND purpose = :for_purpose"""
"""Clears what counts for a verification. By its row, since its number may have been merged with another meanwhile."""


def clear(tx: Connection, verification_id: str, *, client_id: str, purpose: str) -> None:
    """Clear the count of a verification's number after an approval, for its client and purpose."""
    tx.execute(sa.text(CLEAR), {"this": verification_id, "client": client_id, "for_purpose": purpose})


def of_number(tx: Connection, number_id: int) -> Sequence[AnyRow]:
    """Return all rows of a number."""
    return tx.execute(sa.select(failures).where(f.number_id == number_id).order_by(f.client_id, f.purpose)).all()


def clear_number(tx: Connection, number_id: int) -> int:
    """Clear every count of a number; return how many there were."""
    return tx.execute(sa.delete(failures).where(f.number_id == number_id)).rowcount


def merge(tx: Connection, *, keep: int, drop: int) -> None:
    """Give the failures of one row of a number to another row of it: more checks and the later wait count."""
    columns = [f.number_id, f.client_id, f.purpose, f.checks, f.waits_until, f.last_at]
    moved = sa.select(sa.literal(keep), *columns[1:]).where(f.number_id == drop)
    new = insert_into(tx, failures).from_select(columns, moved)
    stricter = {c.name: sa.case((c > new.excluded[c.name], c), else_=new.excluded[c.name]) for c in columns[3:]}
    tx.execute(new.on_conflict_do_update(index_elements=columns[:3], set_=stricter))
    tx.execute(sa.delete(failures).where(f.number_id == drop))


def _of(client_id: str, number_id: int, purpose: str) -> sa.ColumnElement[bool]:
    return sa.and_(f.number_id == number_id, f.client_id == client_id, f.purpose == purpose)
