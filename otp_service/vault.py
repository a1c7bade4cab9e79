"""Everything derived from OTP_SECRET_KEYS: the number index, sealed values, the pepper, fingerprints, signing keys.

Each secret key gives one sub-key per use (HKDF-SHA256, RFC 5869). The first key writes, all keys read.
"""

import base64
import hashlib
import hmac
import secrets
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class SealedFor(StrEnum):
    """What a sealed value is bound to, so that it opens as nothing else."""

    NUMBER = "number"
    PHRASE = "phrase"
    MESSAGE_ID = "message"
    NOTIFICATION = "notification"
    ANSWER = "answer"
    WEBHOOK = "webhook"
    SEARCH_CURSOR = "search cursor"
    TOTP_SECRET = "totp secret"  # noqa: S105 - only what secrets are bound to


class _Keys:
    """The sub-keys of one secret key."""

    def __init__(self, secret: bytes) -> None:
        self.index = _derive(secret, b"number index")
        self.pepper = _derive(secret, b"pepper")
        self.fingerprint = _derive(secret, b"fingerprint")
        self.seal = AESGCM(_derive(secret, b"seal"))
        self.proof = _derive_signing_key(secret, b"proof")


def _derive_signing_key(secret: bytes, use: bytes) -> ec.EllipticCurvePrivateKey:
    # 128 bits more than the order has, so that the remainder has no bias (FIPS 186-5, A.2.1).
    bits = int.from_bytes(_derive(secret, use, length=48))
    return ec.derive_private_key(bits % (_P256_ORDER - 1) + 1, ec.SECP256R1())


def _derive(secret: bytes, use: bytes, length: int = 32) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=b"otp-service/1/" + use).derive(secret)


class Vault:
    """Everything that is derived from the secret keys. `keys`: (id, 32 bytes) in the order of OTP_SECRET_KEYS."""

    def __init__(self, keys: tuple[tuple[str, bytes], ...]) -> None:
        self._keys = {key_id: _Keys(secret) for key_id, secret in keys}
        self.writing_key_id = keys[0][0]

    @property
    def key_ids(self) -> list[str]:
        """Return the ids, the writing one first."""
        return list(self._keys)

    def signing_key(self, key_id: str) -> ec.EllipticCurvePrivateKey | None:
        """Return the P-256 key that signs proofs, None if its secret key is gone."""
        return self._keys[key_id].proof if key_id in self._keys else None

    def digests(self, number: str) -> dict[str, str]:
        """Return the number's index under every key, as key id -> `id:hex`; equal numbers give equal digests."""
        return {
            key_id: f"{key_id}:{hmac.new(keys.index, number.encode(), hashlib.sha256).hexdigest()}"
            for key_id, keys in self._keys.items()
        }

    def address_digest(self, address: str) -> str:
        """Return a keyed pseudonym of an IP address, for short-lived counters."""
        return hmac.new(
            self._keys[self.writing_key_id].fingerprint, b"ip " + address.encode(), hashlib.sha256
        ).hexdigest()[:32]

    def counter_digest(self, text: str) -> str:
        """Return a keyed pseudonym of what a counter is about."""
        return hmac.new(
            self._keys[self.writing_key_id].fingerprint, b"counter " + text.encode(), hashlib.sha256
        ).hexdigest()[:32]

    def seal(self, use: str, plain: bytes) -> str:
        """Encrypt `plain`, bound to `use`, as `id:base64url(nonce, AES-256-GCM ciphertext)`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._keys[self.writing_key_id].seal.encrypt(nonce, plain, use.encode())
        return f"{self.writing_key_id}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, use: str, sealed: str | None) -> bytes | None:
        """Return what `seal` encrypted, None if there is nothing, its key is gone or it is damaged."""
        key_id, _, encoded = (sealed or "").partition(":")
        if key_id not in self._keys:
            return None
        try:
            raw = base64.urlsafe_b64decode(encoded)
            return self._keys[key_id].seal.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], use.encode())
        except (InvalidTag, ValueError):  # another key's, or damaged
            return None

    def new_pin_mac(self, verification_id: str, pin: str) -> tuple[str, bytes, bytes]:
        """Return what a new hash needs: the writing key's id, the PIN's MAC bound to its verification, Argon2's salt.

        A verification has one salt, so that one run of Argon2id compares a PIN with all its live PINs.
        """
        key_id = self.writing_key_id
        salt = hmac.digest(self._keys[key_id].pepper, f"salt:{verification_id}".encode(), "sha256")[:16]
        return key_id, self._pin_mac_under(key_id, verification_id, pin), salt

    def pin_mac(self, key_id: str, verification_id: str, pin: str) -> bytes | None:
        """Return the PIN's MAC under the key that a hash was made with, None if that key is gone."""
        return self._pin_mac_under(key_id, verification_id, pin) if key_id in self._keys else None

    def _pin_mac_under(self, key_id: str, verification_id: str, pin: str) -> bytes:
        return hmac.digest(self._keys[key_id].pepper, f"{verification_id}:{pin}".encode(), "sha256")

    def fingerprint(self, data: bytes) -> str:
        """Return the MAC of a request as `id:hex`."""
        return self._fingerprint_under(self.writing_key_id, data)

    def fingerprints(self, data: bytes) -> list[str]:
        """Return the MAC under every key, the writing one first."""
        return [self._fingerprint_under(key_id, data) for key_id in self._keys]

    def fingerprint_matches(self, recorded: str, data: bytes) -> bool:
        """Return whether `recorded` is the fingerprint of `data`; False if the key that made it is gone."""
        key_id = recorded.partition(":")[0]
        return key_id in self._keys and hmac.compare_digest(self._fingerprint_under(key_id, data), recorded)

    def _fingerprint_under(self, key_id: str, data: bytes) -> str:
        return f"{key_id}:{hmac.new(self._keys[key_id].fingerprint, data, hashlib.sha256).hexdigest()}"


def generate_key_entry() -> str:
    """Return a new entry for OTP_SECRET_KEYS: `id:base64url(32 random bytes)`."""
    return f"k{secrets.token_hex(4)}:{base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip('=')}"
