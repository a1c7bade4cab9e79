"""Makes proofs and redeems them, each at most once."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from otp_service.config.policy.policy import Purpose
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.observability.metrics import PROOFS
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.delivery.test_numbers import TEST_ROUTE
from otp_service.services.verifications import proof_tokens
from otp_service.storage.numbers import open_number
from otp_service.storage.verifications import proofs, verifications
from otp_service.storage.verifications.proofs import KeptProof
from otp_service.storage.verifications.sessions import Session


@dataclass(frozen=True)
class RedeemRequest:
    """The fields of a redemption. `purpose` and `session` must match the start."""

    client_id: str
    proof: str = field(repr=False)
    purpose: str
    session: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Redeemed:
    """What a redeemed proof says. `to`: None if it proves no number; `test`: the number is a test number."""

    verification_id: str
    purpose: str
    to: str | None = field(repr=False)
    subject: str | None
    reference: str | None
    approved_at: float
    redeemed_at: float
    test: bool


def new_proof(ctx: Context, purpose: str, now: float) -> KeptProof:
    """Return what the approval at `now` stores of its proof."""
    rules = ctx.policy.purposes.get(purpose) or Purpose(name=purpose)  # the policy may have lost it since the start
    return KeptProof(secrets.token_urlsafe(16), ctx.vault.writing_key_id, int(now) + rules.proof_lifetime)


def token(
    ctx: Context,
    row: AnyRow,
    kept: KeptProof,
    *,
    client_id: str,
    session_hash: str | None,
    method: str = "sms",
    has_number: bool = True,
) -> str | None:
    """Return the proof of an approved verification, None if it has expired or its number or secret key is gone.

    `method`: for the claim `amr`; `has_number`: False of a challenge that no message was sent for.
    """
    to = open_number(ctx.vault, row.sealed) if has_number else None
    if (to is None and has_number) or kept.expires_at <= ctx.clock.now():
        return None
    claims: dict[str, Any] = {
        "iss": ctx.issuer,
        "aud": client_id,
        "iat": int(row.ended_at),
        "exp": int(kept.expires_at),
        "jti": kept.id,
        "verification_id": row.id,
        "purpose": row.purpose,
        "sub": row.subject,
        "phone_number": to,
        "phone_number_verified": True if has_number else None,
        "amr": [method],
        "test": True if _is_test(row) else None,
        "session_hash": session_hash,
    }
    return proof_tokens.sign(
        ctx.vault, kept.key_id, {name: value for name, value in claims.items() if value is not None}
    )


def _is_test(row: AnyRow) -> bool:
    return bool(row.delivery_route == TEST_ROUTE)


def token_of_inbound(ctx: Context, row: AnyRow) -> str | None:
    """Return the proof of an inbound verification, as `verifications.read` returns it; None of any other."""
    kept = proofs.of_row(row)
    if row.channel != "inbound" or row.status != "approved" or kept is None:
        return None
    return token(ctx, row, kept, client_id=row.client_id, session_hash=row.session_hash)


async def redeem(ctx: Context, request: RedeemRequest, idempotent: IdempotentRequest | None = None) -> Redeemed:
    """Redeem a proof. Refusals: `invalid_proof`, `mismatch`, `already_redeemed`, `overloaded`."""
    try:
        redeemed = await _redeem(ctx, request, idempotent)
    except Refusal as refusal:
        PROOFS.labels(refusal.code).inc()
        raise
    PROOFS.labels("redeemed").inc()
    return redeemed


async def _redeem(ctx: Context, request: RedeemRequest, idempotent: IdempotentRequest | None) -> Redeemed:
    claims = proof_tokens.verify(ctx.vault, request.proof)
    if claims is None or claims["aud"] != request.client_id:
        raise invalid()
    verification_id, proof_id = claims["verification_id"], claims["jti"]
    structlog.contextvars.bind_contextvars(verification=verification_id)  # for the log line of the request
    session = Session.of(request.client_id, request.session)

    def step(tx: Connection) -> Redeemed:
        idempotency.lock(tx, idempotent)
        client_id, purpose, now = request.client_id, request.purpose, ctx.clock.now()
        row = proofs.redeem(
            tx, verification_id, proof_id, client_id=client_id, purpose=purpose, session=session, now=now
        )
        if row is None:
            row = verifications.read(tx, client_id, verification_id)
            refusal = why_not(row, proof_id, now)
            if refusal.code == "already_redeemed" and row is not None and not _is_bound(row, purpose, session):
                detail = "session or purpose differs from the start, or session is missing. The proof was not redeemed."
                raise Refusal("mismatch", detail)
            raise refusal
        to = open_number(ctx.vault, row.sealed) if "phone_number" in claims else None
        if to is None and "phone_number" in claims:  # retention wiped it: nothing is committed
            raise invalid()
        return Redeemed(
            row.id, row.purpose, to, row.subject, row.reference, row.ended_at, row.redeemed_at, test=_is_test(row)
        )

    async with ctx.concurrency.turn(request.client_id, verification_id):
        return await ctx.database.write(step)


def _is_bound(row: AnyRow, purpose: str, session: Session) -> bool:
    return row.purpose == purpose and session.is_of(row)


def why_not(row: AnyRow | None, proof_id: str, now: float) -> Refusal:
    """Return the refusal of a proof that was not redeemed, from its verification."""
    if row is None or row.status != "approved" or row.proof_id != proof_id or row.proof_expires_at <= now:
        return invalid()
    if row.sealed is None and row.subject_id is None:
        return invalid()
    return Refusal("already_redeemed", "The proof was redeemed before. Start a new verification.")


def invalid() -> Refusal:
    """Return the refusal of what is no proof, or no longer one."""
    return Refusal(
        "invalid_proof", "Not a proof that this client can redeem, or it has expired. Start a new verification."
    )
