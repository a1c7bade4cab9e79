"""What a change of the factors of a subject brings with it, in a transaction that has locked the subject."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import require
from otp_service.services.factors import devices, events
from otp_service.services.factors.representation import Factor, represent
from otp_service.storage.factors import factors, failures, subjects
from otp_service.storage.factors.subjects import Owner
from otp_service.storage.verifications import challenges

REMOVED = "factor_removed"
"""The reason of challenges that end because their factor is gone."""


def lock(tx: Connection, client_id: str, factor_id: str, now: float) -> tuple[Owner, AnyRow]:
    """Lock the subject of a factor; return it and the factor as it is then. Refusal: `not_found`."""
    row = require(factors.read(tx, client_id, factor_id, now), "factor")
    subjects.lock_row(tx, row.subject_id)
    return Owner(client_id, row.subject, row.subject_id), require(factors.read(tx, client_id, factor_id, now), "factor")


def shown(tx: Connection, owner: Owner, factor_id: str, now: float) -> Factor:
    """Return a factor as it is now. Refusal: `not_found`."""
    row = require(factors.read(tx, owner.client_id, factor_id, now), "factor")
    return represent(row, owner.subject, is_locked=is_locked(tx, owner.id, now))


def is_locked(tx: Connection, subject_id: int, now: float) -> bool:
    """Return whether the factors of a subject wait after wrong checks."""
    return failures.waits_until(tx, subject_id, failures.FACTORS) > now


def active(rows: Sequence[AnyRow]) -> list[AnyRow]:
    """Return the factors that can be challenged."""
    return [row for row in rows if row.status == "active"]


def activated(tx: Connection, owner: Owner, factor_id: str, others: Sequence[AnyRow], now: float) -> Factor:
    """Do what follows when a factor becomes active, and return it. `others`: of the subject, as they were before."""
    if not active(others):
        # They were added without a proof: whoever did could pass challenges with them.
        remove(tx, owner, [row for row in others if row.id != factor_id], now)
    devices.revoke_of_subject(tx, owner, now)
    factor = shown(tx, owner, factor_id, now)
    events.record(tx, owner.client_id, "factor.verified", factor, now)
    return factor


def remove(tx: Connection, owner: Owner, rows: Sequence[AnyRow], now: float) -> None:
    """Delete factors and end their pending challenges."""
    if not rows:
        return
    locked = is_locked(tx, owner.id, now)
    for row in rows:
        factors.delete(tx, row.id)
    challenges.cancel_of_subject(tx, owner.id, reason=REMOVED, now=now, factor_ids=[row.id for row in rows])
    for row in rows:
        removed = represent(row, owner.subject, is_locked=locked)
        events.record(tx, owner.client_id, "factor.removed", removed, now)
