"""Sends that have no outcome because their process died."""

import json
from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.guard import ceilings
from otp_service.storage.tables import sends, verifications
from otp_service.storage.verifications.verifications import record_delivery

s, v = sends.c, verifications.c


def lock(tx: Connection, started_before: float, limit: int) -> Sequence[AnyRow]:
    """Return sends that began before then and have no outcome. Locks their verifications."""
    statement = sa.select(s.id, s.verification_id, s.route).where(s.outcome.is_(None), s.started_at < started_before)
    # In the order of the index of open ones: by id, SQLite would read the whole table.
    oldest = statement.join(verifications, v.id == s.verification_id).order_by(s.started_at).limit(limit)
    return tx.execute(oldest.with_for_update(of=verifications, skip_locked=True, key_share=True)).all()


def abandon(tx: Connection, stuck: Sequence[AnyRow], now: float) -> None:
    """Record that the outcomes of sends are unknown for good. The PINs' hashes stay as they are.

    If the gateway was not called for sure, the message gives its price back.
    """
    unspent: Counter[str] = Counter()
    for send in stuck:
        tx.execute(sa.select(v.id).where(v.id == send.verification_id).with_for_update())
        prices = _abandon(tx, send.id, now)
        if prices is None:
            continue
        # The PIN of the gateway died with the process: the person may ask for another one at once.
        resend_at = now if send.route == "pin" else None
        record_delivery(
            tx, send.verification_id, send.id, status="unknown", route=send.route, at=now, resend_at=resend_at
        )
        unspent.update(prices)
    ceilings.release(tx, unspent)  # last and together, because starts lock ceilings last and in the order of keys


def _abandon(tx: Connection, send_id: int, now: float) -> dict[str, int] | None:
    """Record an unknown outcome; return the prices of a message that was never sent, None if the outcome is known.

    A send with prices whose call did not begin cannot begin any more.
    """
    statement = sa.update(sends).where(s.id == send_id, s.outcome.is_(None))
    abandoned = statement.values(outcome="unknown", reason="abandoned", finished_at=now)
    row = tx.execute(abandoned.returning(s.prices, s.begun_at)).first()
    if row is None:
        return None
    return dict(json.loads(row.prices)) if row.prices is not None and row.begun_at is None else {}
