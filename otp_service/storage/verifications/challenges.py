"""Challenges: the rows of `verifications` with a `subject_id`; and the erasure of a subject from all its rows.

`factor_id` is null if a recovery code or a device is used.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.tables import PENDING, sends, verifications
from otp_service.storage.verifications.endings import ENDS_AS, ENDS_AT
from otp_service.storage.verifications.verifications import COLUMNS

v = verifications.c


def switch(tx: Connection, challenge_id: str, factor: Mapping[str, Any], now: float) -> bool:
    """Make a pending challenge one of another factor; return False if it has ended.

    `factor`: the columns that depend on it. PINs that were sent for the former factor no longer count.
    """
    pending = sa.update(verifications).where(v.id == challenge_id, v.status == PENDING, now < ENDS_AT)
    if tx.execute(pending.values(**factor)).rowcount == 0:
        return False
    live = sa.update(sends).where(sends.c.verification_id == challenge_id, sends.c.pin_hash.is_not(None))
    tx.execute(live.values(pin_hash=None, pepper_key=None))
    return True


def of_subject(tx: Connection, subject_id: int, limit: int) -> Sequence[AnyRow]:
    """Return the challenges of a subject, newest first: `verifications.COLUMNS` and `factor_id`."""
    statement = sa.select(*COLUMNS, v.factor_id).where(v.subject_id == subject_id)
    return tx.execute(statement.order_by(v.created_at.desc()).limit(limit)).all()


def cancel_of_subject(
    tx: Connection, subject_id: int, *, reason: str, now: float, factor_ids: Collection[str] | None = None
) -> None:
    """End the pending challenges of a subject, or only those of some factors: canceled unless they ended before."""
    over = now >= ENDS_AT
    statement = sa.update(verifications).where(v.subject_id == subject_id, v.status == PENDING)
    if factor_ids is not None:
        statement = statement.where(v.factor_id.in_(list(factor_ids)))
    ended = {
        "status": sa.case((over, ENDS_AS), else_="canceled"),
        "reason": sa.case((over, None), else_=reason),
        "ended_at": sa.case((over, ENDS_AT), else_=now),
    }
    tx.execute(statement.values(ended))


def erase_subject(tx: Connection, client_id: str, subject: str) -> None:
    """Remove the subject from everything that a client started for it. Its challenges have ended, and prove nothing."""
    is_challenge = v.subject_id.is_not(None)
    changed = {
        "subject": None,
        "slot": sa.case((is_challenge, ""), else_=v.slot),
        "proof_id": sa.case((is_challenge, None), else_=v.proof_id),
    }
    statement = sa.update(verifications).where(v.subject == subject, v.client_id == client_id)
    tx.execute(statement.values(changed))
