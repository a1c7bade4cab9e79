"""`Idempotency-Key`: one request, one effect, one answer, for 24 hours and per client."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.services.context import Context
from otp_service.storage import requests
from otp_service.storage.queues import notifications
from otp_service.storage.verifications import sends
from otp_service.vault import SealedFor

KEPT_SECONDS = 86400.0
DEAD_AFTER_SECONDS = 12.0


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that runs under an `Idempotency-Key`, unless another takes the key over.

    `id`: of its row in `requests`; `claimed_at`: tells it from one that took over.
    """

    id: int
    claimed_at: float


@dataclass(frozen=True)
class Saved:
    """The saved response to an earlier request with the key."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Lost:
    """What a request left that died after its commit: it is not repeated."""

    kind: Literal["verification", "notification"]
    id: str


async def begin(ctx: Context, client_id: str, key: str, fingerprint_of: bytes) -> IdempotentRequest | Saved | Lost:
    """Claim the key for this request, or return what an earlier one left.

    `fingerprint_of`: the request in one canonical form, without the PIN. Refusals: `idempotency_mismatch`,
    `idempotency_in_progress`.
    """
    key_digest = hashlib.sha256(key.encode()).hexdigest()
    fingerprint = ctx.vault.fingerprint(fingerprint_of)

    def step(tx: Connection) -> IdempotentRequest | Saved | Lost:
        now = ctx.clock.now()
        request_id = requests.insert(tx, client_id=client_id, key_digest=key_digest, fingerprint=fingerprint, now=now)
        if request_id is not None:
            return IdempotentRequest(request_id, now)
        row = requests.read(tx, client_id, key_digest)
        if row is None:  # released in between
            raise _in_progress(1.0)
        if not ctx.vault.fingerprint_matches(row.fingerprint, fingerprint_of):
            raise Refusal("idempotency_mismatch", "This Idempotency-Key was used for another request. Use a new one.")
        return _known(tx, ctx, row, now)

    return await ctx.database.write(step)


def _known(tx: Connection, ctx: Context, row: AnyRow, now: float) -> IdempotentRequest | Saved | Lost:
    if row.status is not None:
        body = ctx.vault.open(SealedFor.ANSWER, row.sealed)
        if body is None:
            raise Refusal("idempotency_mismatch", "The saved response is no longer readable. Use a new key.")
        return Saved(row.status, body)
    alive_for = row.claimed_at + DEAD_AFTER_SECONDS - now
    if alive_for > 0:
        raise _in_progress(alive_for)
    lost = _left_by(tx, row.id, now)
    if lost is not None:
        return lost
    if not requests.take_over(tx, row.id, claimed_at=row.claimed_at, now=now):
        raise _in_progress(DEAD_AFTER_SECONDS)
    # Once more, now that the first one cannot commit anything any more: it may have, in between.
    return _left_by(tx, row.id, now) or IdempotentRequest(row.id, now)


def _left_by(tx: Connection, request_id: int, now: float) -> Lost | None:
    """Return what a dead request left. The outcome of a send that it did not finish becomes unknown."""
    send = sends.of_request(tx, request_id)
    if send is not None:
        if send.outcome is None:
            sends.abandon(tx, [send], now)
        return Lost("verification", send.verification_id)
    notification_id = notifications.of_request(tx, request_id)
    return Lost("notification", notification_id) if notification_id is not None else None


def _in_progress(wait: float) -> Refusal:
    detail = "A request with this Idempotency-Key is still running. Retry later."
    return Refusal("idempotency_in_progress", detail, retry_after=wait)


def lock(tx: Connection, idempotent: IdempotentRequest | None) -> None:
    """Lock the request's row; call it before anything counts.

    Refusal: `idempotency_in_progress` if another request took over the key.
    """
    if idempotent is not None and not requests.lock(tx, idempotent.id, idempotent.claimed_at):
        raise _in_progress(DEAD_AFTER_SECONDS)


async def keep(ctx: Context, idempotent: IdempotentRequest, status: int, body: bytes) -> None:
    """Save a 2xx response, encrypted."""
    sealed = ctx.vault.seal(SealedFor.ANSWER, body)

    def step(tx: Connection) -> None:
        requests.keep(tx, idempotent.id, claimed_at=idempotent.claimed_at, status=status, sealed=sealed)

    await ctx.database.write(step)


async def release(ctx: Context, idempotent: IdempotentRequest) -> None:
    """Free the key after a refusal, which is not saved."""
    await ctx.database.write(lambda tx: requests.release(tx, idempotent.id, idempotent.claimed_at))
