"""The sids of verifications: the same 128 bits as in the ids under /v1."""

import base64
import hashlib
import re


def sid_of(verification_id: str) -> str:
    """Return `VE` and the 32 hexadecimal digits of a verification's id."""
    return "VE" + base64.urlsafe_b64decode(verification_id.removeprefix("ver_") + "==").hex()


def verification_id_of(sid: str) -> str | None:
    """Return the id of a verification, None if the sid is malformed."""
    if not re.fullmatch("VE[0-9a-f]{32}", sid):
        return None
    return "ver_" + base64.urlsafe_b64encode(bytes.fromhex(sid[2:])).decode().rstrip("=")


def attempt_sid(verification_id: str, number: int) -> str:
    """Return the sid of a message of a verification, by its number; no call takes it."""
    return "VL" + hashlib.sha256(f"{verification_id} {number}".encode()).hexdigest()[:32]
