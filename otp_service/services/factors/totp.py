"""TOTP (RFC 6238) as every authenticator app takes it: SHA-1, 6 digits, 30 seconds; and its QR code."""

import hmac
import secrets
from base64 import b32encode
from io import StringIO

import pyotp
import segno

METHOD = "otp"
"""What proofs and histories call it (RFC 8176)."""
DIGITS = 6
STEP_SECONDS = 30
_SECRET_BYTES = 20  # 160 bits, the length of an HMAC-SHA-1 (RFC 4226, section 4, R6)
_STEPS_BESIDE = 1
"""Steps before and after the present one that are accepted too (RFC 6238, section 5.2)."""
LIVE_VALUES = 2 * _STEPS_BESIDE + 1
"""How many values are accepted at any time."""


def new_secret() -> bytes:
    """Return a new secret."""
    return secrets.token_bytes(_SECRET_BYTES)


def text_of(secret: bytes) -> str:
    """Return a secret in Base32, as a person can type it into an app."""
    return _totp(secret).secret


def uri(secret: bytes, *, issuer: str, account_name: str) -> str:
    """Return the `otpauth://` URI that an authenticator app reads."""
    return _totp(secret).provisioning_uri(name=account_name, issuer_name=issuer)


def qr_svg(text: str) -> str:
    """Return a QR code as an SVG image that scales to its container."""
    return segno.make(text, error="m").svg_inline(border=4, omitsize=True, dark="#000", light="#fff")


def qr_terminal(text: str) -> str:
    """Return a QR code in characters for a terminal."""
    drawn = StringIO()
    segno.make(text, error="l").terminal(drawn, compact=True)
    return drawn.getvalue()


def step_of(secret: bytes, value: str, now: float) -> int | None:
    """Return the time step whose value this is, within one step of now; None if it is none of them."""
    totp, present = _totp(secret), int(now // STEP_SECONDS)
    found = None
    for step in range(present - _STEPS_BESIDE, present + _STEPS_BESIDE + 1):
        # All are compared, so that time does not tell which one it was.
        if hmac.compare_digest(totp.generate_otp(step), value):
            found = step
    return found


def newest_step(now: float) -> int:
    """Return the newest time step whose value is accepted now."""
    return int(now // STEP_SECONDS) + _STEPS_BESIDE


def _totp(secret: bytes) -> pyotp.TOTP:
    return pyotp.TOTP(b32encode(secret).decode(), digits=DIGITS, interval=STEP_SECONDS)
