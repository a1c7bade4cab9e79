"""Proofs as tokens: JWTs (RFC 7519), signed with ES256 by a key that is derived from each secret key."""

import hmac
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import ECAlgorithm
from jwt.utils import der_to_raw_signature

from otp_service.vault import Vault

_ES256 = "ES256"


class _DeterministicES256(ECAlgorithm):
    """ES256 whose signatures follow from the message (RFC 6979): equal claims give equal tokens."""

    def sign(self, msg: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
        """Return the signature of a message."""
        signature = key.sign(msg, ec.ECDSA(SHA256(), deterministic_signing=True))
        return der_to_raw_signature(signature, key.curve)


_jws = jwt.PyJWS(algorithms=[])
_jws.register_algorithm(_ES256, _DeterministicES256(ECAlgorithm.SHA256))


def sign(vault: Vault, key_id: str, claims: dict[str, Any]) -> str | None:
    """Return the token of the claims, None if the secret key is gone."""
    key = vault.signing_key(key_id)
    if key is None:
        return None
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return _jws.encode(payload, key, algorithm=_ES256, headers={"kid": key_id})


def verify(vault: Vault, token: str) -> dict[str, Any] | None:
    """Return the claims of a token that `sign` returned, None of any other text."""
    try:
        key_id = str(jwt.get_unverified_header(token).get("kid"))
        key = vault.signing_key(key_id)
        if key is None:
            return None
        claims: dict[str, Any] = json.loads(_jws.decode(token, key.public_key(), algorithms=[_ES256]))
    except (jwt.InvalidTokenError, ValueError):
        return None
    # There are other spellings of a valid signature, and of Base64.
    signed = sign(vault, key_id, claims) or ""
    return claims if hmac.compare_digest(signed.encode(), token.encode()) else None


def public_keys(vault: Vault) -> list[dict[str, Any]]:
    """Return the public key of every secret key as a JSON Web Key (RFC 7517), the one that signs first."""
    keys = {key_id: vault.signing_key(key_id) for key_id in vault.key_ids}
    return [
        {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig", "alg": _ES256}
        for key_id, key in keys.items()
        if key is not None
    ]
