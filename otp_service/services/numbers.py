"""Phone numbers as the database keeps them: found by keyed digests, readable with OTP_SECRET_KEYS alone."""

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.storage import numbers
from otp_service.vault import SealedFor, Vault


def upsert(tx: Connection, vault: Vault, e164: str, *, seen_until: float) -> int:
    """Return the id of a number, inserted if it is new, and lock its row until the commit.

    The number stays readable until `seen_until` (seconds since the epoch), then until retention wipes it.
    """
    sealed = vault.seal(SealedFor.NUMBER, e164.encode())
    return numbers.upsert(tx, digests=digests(vault, e164), sealed=sealed, seen_until=seen_until)


def upsert_unnumbered(tx: Connection, vault: Vault, of_whom: str, *, seen_until: float) -> int:
    """Return the id of the row that counts for somebody without a number, and lock it until the commit."""
    return numbers.upsert(tx, digests=vault.digests(f"decoy {of_whom}"), sealed=None, seen_until=seen_until)


def find(tx: Connection, vault: Vault, e164: str) -> int | None:
    """Return the id of a number, None if nothing is kept of it."""
    return numbers.find(tx, digests(vault, e164))


def digests(vault: Vault, e164: str) -> dict[str, str]:
    """Return every digest that can index a number, by key id; those of its former form by `key id former`.

    A row that was written before the country changed its numbering plan is found this way.
    """
    found = vault.digests(e164)
    former = phone.former_form(e164)
    if former is not None:
        found |= {f"{key_id} former": digest for key_id, digest in vault.digests(former).items()}
    return found


def open_number(vault: Vault, sealed: str | None) -> str | None:
    """Return the number in E.164, None if retention wiped it or its key is gone."""
    number = vault.open(SealedFor.NUMBER, sealed)
    return number.decode() if number is not None else None
