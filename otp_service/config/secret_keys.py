"""`OTP_SECRET_KEYS`: the keys that everything secret is derived from, by id, the writing one first."""

import base64
import re

_ENTRY = re.compile(r"([A-Za-z0-9_-]{1,32}):([A-Za-z0-9_-]+={0,2})")
_KEY_BYTES = 32


def parse_secret_keys(text: str) -> tuple[tuple[str, bytes], ...]:
    """Parse `id:base64url(32 bytes)[,id:...]` into (id, 32 bytes), in order. Raises ValueError without the value."""
    keys = tuple(_parse_entry(part.strip(), at) for at, part in enumerate(text.split(","), start=1))
    if len({key_id for key_id, _ in keys}) < len(keys):
        raise ValueError("must have each id once")
    return keys


def _parse_entry(text: str, at: int) -> tuple[str, bytes]:
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise ValueError(f"entry {at} must be id:base64url, the id 1 to 32 of A-Z, a-z, 0-9, _ and -")
    key = _decode(match[2])
    if len(key) != _KEY_BYTES:
        raise ValueError(f"entry {at} must be {_KEY_BYTES} bytes; `otp-service secrets generate` makes one")
    if len(set(key)) == 1:
        raise ValueError(f"entry {at} is one byte repeated; `otp-service secrets generate` makes a random one")
    return match[1], key


def _decode(text: str) -> bytes:
    digits = text.rstrip("=")
    if len(digits) % 4 == 1:  # no number of bytes has this length, and base64 would say so in its own words
        return b""
    return base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4))
