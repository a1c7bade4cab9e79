"""Recovery codes: what passes a challenge when the phone is lost. Only keyed digests of them are stored."""

import secrets
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from otp_service.errors import Refusal
from otp_service.observability.metrics import FACTORS
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.factors import changes, events, fresh_proofs
from otp_service.services.factors.representation import RecoveryCodes, RecoveryCodeUse
from otp_service.storage.factors import factors, recovery_codes, subjects
from otp_service.storage.factors.subjects import Owner

CODES_PER_SET = 10
KIND = "recovery_code"
"""The type of recovery codes in metrics."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's Base32: of each pair that looks alike it has one."""
_LOOK_ALIKES = str.maketrans("oil", "011")
_LONGEST = 64
_CODE_LENGTH = 10
"""Of 5 bits each."""


@dataclass(frozen=True)
class NewRecoveryCodes:
    """The recovery codes of a subject, which are shown only once."""

    codes: list[str] = field(repr=False)
    remaining: int
    created_at: float


async def replace(
    ctx: Context, client_id: str, subject: str, proof: str | None, idempotent: IdempotentRequest | None = None
) -> NewRecoveryCodes:
    """Make new codes; the former ones end. Refusals: `no_factor`, `proof_needed` if the subject has codes."""
    codes = [new_code() for _ in range(CODES_PER_SET)]

    def step(tx: Connection) -> float:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        owner = _lock_owner_with_factor(tx, client_id, subject, now)
        if recovery_codes.count(tx, owner.id):
            fresh_proofs.require(tx, ctx, client_id, subject, proof, now)
        digests = [ctx.vault.fingerprint(_digest_input(owner, clean_code(code) or "")) for code in codes]
        recovery_codes.replace(tx, owner.id, digests)
        subjects.record_codes(tx, owner.id, now)
        return now

    async with ctx.concurrency.turn_of_subject(client_id, subject):
        created_at = await ctx.database.write(step)
    FACTORS.labels("added", KIND).inc()
    return NewRecoveryCodes(codes, CODES_PER_SET, created_at)


def _lock_owner_with_factor(tx: Connection, client_id: str, subject: str, now: float) -> Owner:
    row = subjects.find(tx, client_id, subject)
    locked = row is not None and subjects.lock_row(tx, row.id) is not None
    if row is None or not locked or not changes.active(factors.of_subject(tx, row.id, now)):
        # Whoever made codes before the first factor could pass its challenges later.
        raise Refusal("no_factor", "The subject has no active factor. Let the user add one first.")
    return Owner(client_id, subject, row.id)


def of_subject(tx: Connection, client_id: str, subject: str) -> RecoveryCodes:
    """Return how many codes a subject has left, in the caller's transaction."""
    row = subjects.find(tx, client_id, subject)
    return RecoveryCodes(recovery_codes.count(tx, row.id), row.codes_created_at) if row else RecoveryCodes(0, None)


def use(tx: Connection, ctx: Context, owner: Owner, code: str, now: float) -> bool:
    """Use up a code, in the caller's transaction; return False if the subject has no such code.

    `code`: as `clean_code` returns it.
    """
    if not recovery_codes.use(tx, owner.id, ctx.vault.fingerprints(_digest_input(owner, code))):
        return False
    used = RecoveryCodeUse(owner.subject, recovery_codes.count(tx, owner.id))
    events.record(tx, owner.client_id, "factor.recovery_code_used", used, now)
    return True


def forget(tx: Connection, owner: Owner) -> None:
    """Delete the codes of a subject, in the caller's transaction."""
    recovery_codes.delete_of_subject(tx, owner.id)
    subjects.record_codes(tx, owner.id, None)


def _digest_input(owner: Owner, code: str) -> bytes:
    return f"recovery code {owner.client_id}\0{owner.subject}\0{code}".encode()


def new_code() -> str:
    """Return a new recovery code of 50 random bits, such as `x7gq-2m0d-4k`."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
    return f"{code[:4]}-{code[4:8]}-{code[8:]}"


def clean_code(typed: str) -> str | None:
    """Return a recovery code in its one form, without case, spaces and hyphens; None if it cannot be one."""
    if len(typed) > _LONGEST or not typed.isascii():
        return None
    code = typed.replace(" ", "").replace("-", "").lower().translate(_LOOK_ALIKES)
    return code if len(code) == _CODE_LENGTH and set(code) <= set(_ALPHABET) else None
