"""The vendor's ids of messages: kept as a fingerprint that finds a receipt's message, and sealed to ask for it."""

from otp_service.vault import Vault

MESSAGE = "message"
"""What they are bound to."""


def kept(vault: Vault, message_id: str | None) -> dict[str, str | None]:
    """The columns of a message with this id; empty where the vendor told none."""
    if message_id is None:
        return {}
    return {
        "message_digest": vault.fingerprint(_named(message_id)),
        "message_sealed": vault.seal(MESSAGE, message_id.encode()),
    }


def digests(vault: Vault, message_id: str) -> list[str]:
    """What `message_digest` can be of this id, whatever key it was written with."""
    return vault.fingerprints(_named(message_id))


def read(vault: Vault, sealed: str | None) -> str | None:
    """The id; None where there is none or its key is gone."""
    message_id = vault.open(MESSAGE, sealed)
    return message_id.decode() if message_id is not None else None


def _named(message_id: str) -> bytes:
    return f"{MESSAGE} {message_id}".encode()
