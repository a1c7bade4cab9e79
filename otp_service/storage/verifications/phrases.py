"""The phrases of inbound verifications, found by the digest of a text."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow, counts_by_key
from otp_service.storage.tables import PENDING, numbers, verifications

v = verifications.c

_MOST_WAITING = 20


def awaiting_text(tx: Connection, number_digests: Collection[str], phrase_digests: Collection[str]) -> Sequence[AnyRow]:
    """Return the pending verifications that a text with one of these digests from the number can approve.

    Those of a former release, which have no digest, are among them, a few at the most.
    """
    statement = sa.select(v.id, v.client_id, v.number_id, v.purpose, v.subject, v.phrase_sealed)
    statement = statement.join(numbers, numbers.c.id == v.number_id)
    statement = statement.where(numbers.c.digest.in_(list(number_digests)))
    statement = statement.where(v.status == PENDING, v.channel == "inbound", ~v.decoy)
    fits = v.phrase_digest.in_(list(phrase_digests))
    return tx.execute(
        statement.where(fits | v.phrase_digest.is_(None)).order_by(v.phrase_digest.is_(None)).limit(_MOST_WAITING)
    ).all()


def count_by_key(tx: Connection) -> dict[str, int]:
    """Return the number of phrases that are sealed under each key id."""
    return counts_by_key(tx, v.phrase_sealed)
