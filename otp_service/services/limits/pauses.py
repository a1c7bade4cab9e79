"""The pause between two starts to one number, for one client and purpose, and what ends it early."""

from typing import Any

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.services.limits import limits
from otp_service.storage.limits import buckets
from otp_service.storage.limits.buckets import Unit
from otp_service.storage.verifications import verifications

FATE_KNOWN = frozenset({"delivered", "undelivered", "failed"})
"""The values of `delivery_status` after which a message cannot arrive any more."""


def end_or_refuse(
    tx: Connection, pause: Unit, owner: dict[str, Any], session_digest: str | None, now: float, *, until: float
) -> None:
    """End a pause for a new verification if it may end early. Refusal: `rate_limited`.

    `owner`: the `client_id`, `number_id` and `purpose` of the pause; `session_digest`: of the new verification.
    An approval ends it, and a cancel of the newest verification once none of its messages can still arrive.
    """
    rows = verifications.of_number_since(tx, **owner, since=until - pause.interval)
    newest = next((row for row in rows if row.channel == "sms"), None)
    if (newest is not None and _is_over(newest)) or any(row.status == "approved" for row in rows):
        buckets.refill(tx, pause.key)
        return
    why = None
    if newest is not None and newest.session_digest != session_digest:
        ago = limits.in_words(round(max(0, now - newest.created_at)))
        why = f"Another session started a verification of this number {ago} ago"
    raise limits.limited(pause.limit, until - now, window=pause.interval, why=why)


def _is_over(row: AnyRow) -> bool:
    """Return whether a verification was canceled and the fate of its message is known, with no other one on its way."""
    return row.reason == "requested" and row.delivery_status in FATE_KNOWN and not row.in_flight
