"""Known people: a client, number and subject that were approved together on an earlier day have limits of their own."""

from sqlalchemy.engine import Connection

from otp_service.guard.usual import day_of
from otp_service.storage.guard import known_people
from otp_service.vault import Vault


def known_since(tx: Connection, *, client_id: str, number_id: int, subject: str | None) -> float | None:
    """Return when the three were first approved together, None if they never were, or without a subject."""
    if subject is None:
        return None
    return known_people.since(tx, number_id=number_id, client_id=client_id, subject=subject)


def limit_scope(vault: Vault, *, client_id: str, subject: str | None, since: float | None, now: float) -> str | None:
    """Return the suffix of the number's limits for a known person; None if the shared limits apply."""
    if subject is None or since is None or day_of(since) >= day_of(now):
        return None
    return f"known:{client_id}:{vault.counter_digest(f'subject {subject}')[:16]}"
