"""The gateway's message ids: stored as a fingerprint that finds a receipt's message, and sealed for asking about it."""

from typing import Any

from otp_service.gateways.base import Outcome, Sent
from otp_service.services.context import Context
from otp_service.vault import SealedFor, Vault


def columns_of(vault: Vault, message_id: str | None) -> dict[str, str | None]:
    """Return the columns of a message with this id; none if the gateway named no id."""
    if message_id is None:
        return {}
    return {
        "message_digest": vault.fingerprint(_digest_input(message_id.lower())),
        "message_sealed": vault.seal(SealedFor.MESSAGE_ID, message_id.encode()),
    }


def receipt_columns(ctx: Context, sent: Sent, now: float, *, only_by_id: bool = False) -> dict[str, Any]:
    """Return the columns that find the receipt of a message that may be out, and when to poll for it first.

    `only_by_id`: without an id, the receipt is not polled for.
    """
    if sent.outcome is Outcome.REFUSED:
        return {}
    columns, poll_after = columns_of(ctx.vault, sent.message_id), ctx.policy.receipts.poll_after
    if not poll_after or (only_by_id and not columns):
        return columns
    return {**columns, "poll_at": now + poll_after[0]}


def digests(vault: Vault, message_id: str) -> list[str]:
    """Return every value that `message_digest` can have for this id, in whatever case, under any secret key."""
    # The previous release stores an id as it was written.
    return [digest for each in {message_id.lower(), message_id} for digest in vault.fingerprints(_digest_input(each))]


def read(vault: Vault, sealed: str | None) -> str | None:
    """Return the id; None if there is none or its secret key is missing."""
    message_id = vault.open(SealedFor.MESSAGE_ID, sealed)
    return message_id.decode() if message_id is not None else None


def _digest_input(message_id: str) -> bytes:
    return f"message {message_id}".encode()
