"""Challenges: the rows of `verifications` that have a subject and, unless a device passed them, a factor."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage.tables import sends, verifications
from otp_service.storage.verifications.endings import ENDS_AT

v = verifications.c


def switch(tx: Connection, challenge_id: str, factor: Mapping[str, Any], now: float) -> bool:
    """Make a pending challenge one of another factor; return False if it has ended.

    `factor`: the columns that depend on it. PINs that were sent for the former factor no longer count.
    """
    pending = sa.update(verifications).where(v.id == challenge_id, v.status == "pending", now < ENDS_AT)
    if tx.execute(pending.values(**factor)).rowcount == 0:
        return False
    live = sa.update(sends).where(sends.c.verification_id == challenge_id, sends.c.pin_hash.is_not(None))
    tx.execute(live.values(pin_hash=None, pepper_key=None))
    return True
