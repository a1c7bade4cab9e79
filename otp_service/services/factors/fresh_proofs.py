"""Proofs that a change of factors needs: of the phone that is added, and of a challenge that the subject passed."""

from typing import Any

from sqlalchemy.engine import Connection

from otp_service.errors import Refusal
from otp_service.services.context import Context
from otp_service.services.verifications import proof_tokens, proofs
from otp_service.storage.verifications import proofs as stored_proofs
from otp_service.storage.verifications import verifications


def require(tx: Connection, ctx: Context, client_id: str, subject: str, proof: str | None, now: float) -> None:
    """Redeem the proof of a challenge of the subject, unless the policy says `self_service`. Refusal: `proof_needed`.

    A proof by a remembered device is none: who has stolen the device would have everything.
    """
    if ctx.policy.factors.self_service:
        return
    claims = _claims(ctx, client_id, proof, "chl_")
    if claims is None or claims.get("sub") != subject or claims["amr"] == ["device"]:
        raise _proof_needed()
    if _redeem(tx, client_id, claims, now) is None:
        raise _proof_needed()


def _proof_needed() -> Refusal:
    detail = "Let the user pass a new challenge, and send its proof as X-Proof or `proof`. A proof works once."
    return Refusal("proof_needed", detail)


def claims_of_phone(ctx: Context, client_id: str, subject: str, proof: str) -> dict[str, Any]:
    """Return what a proof of a number claims. Refusals: `invalid_proof`, `mismatch`."""
    claims = _claims(ctx, client_id, proof, "ver_")
    if claims is None:
        raise proofs.invalid()
    if claims.get("sub", subject) != subject:
        raise Refusal("mismatch", "The verification was of another subject. The proof was not redeemed.")
    return claims


def redeem_phone(tx: Connection, client_id: str, claims: dict[str, Any], now: float) -> None:
    """Redeem the proof with these claims. Refusals: `invalid_proof`, `already_redeemed`."""
    if _redeem(tx, client_id, claims, now) is None:
        known = verifications.read(tx, client_id, claims["verification_id"])
        raise proofs.why_not(known, claims["jti"], now)


def _claims(ctx: Context, client_id: str, proof: str | None, prefix: str) -> dict[str, Any] | None:
    """Return the claims of a proof of this client, None of anything else."""
    claims = proof_tokens.verify(ctx.vault, proof) if proof is not None else None
    is_ours = claims is not None and claims["aud"] == client_id and claims["verification_id"].startswith(prefix)
    return claims if is_ours else None


def _redeem(tx: Connection, client_id: str, claims: dict[str, Any], now: float) -> Any:
    return stored_proofs.redeem_for_factors(tx, claims["verification_id"], claims["jti"], client_id=client_id, now=now)
