"""Cancels and reads verifications and their events."""

from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal, require
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.verifications import proofs
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage.verifications import events, sends, verifications
from otp_service.storage.verifications.endings import ending


@dataclass(frozen=True)
class Event:
    """Something that happened to a verification. `type`: created, send, receipt, check, inbound, or a final status.

    `route`: of a send or a receipt; `result`: of a send, a receipt or a check; `detail`: the cause.
    """

    at: float
    type: str
    route: str | None = None
    result: str | None = None
    detail: str | None = None
    finished_at: float | None = None


async def read(ctx: Context, client_id: str, verification_id: str) -> Verification:
    """Return a client's verification; an inbound one that was approved has its proof. Refusal: `not_found`."""
    with ctx.concurrency.of_client(client_id):
        row = await ctx.database.read(lambda tx: require_verification(tx, client_id, verification_id))
    return replace(represent(ctx, row), proof=proofs.token_of_inbound(ctx, row))


async def cancel(
    ctx: Context, client_id: str, verification_id: str, idempotent: IdempotentRequest | None = None
) -> Verification:
    """Cancel a pending verification; a second time changes nothing. Refusals: `not_found`, `not_pending`."""

    def step(tx: Connection) -> AnyRow:
        idempotency.lock(tx, idempotent)
        now = ctx.clock.now()
        row = require_verification(tx, client_id, verification_id)
        ended = verifications.cancel(tx, verification_id, reason="requested", now=now)
        # The row was read before the update: only a second read shows how a race ended.
        row = ended or require_verification(tx, client_id, verification_id)
        if row.status != "canceled":
            raise Refusal("not_pending", "The verification has ended and cannot be canceled.")
        return row

    async with ctx.concurrency.turn(client_id, verification_id):
        row = await ctx.database.write(step)
    return represent(ctx, row)


async def list_events(ctx: Context, client_id: str, verification_id: str) -> list[Event]:
    """Return the events of a verification, oldest first. Refusal: `not_found`."""

    def step(tx: Connection) -> list[Event]:
        return events_of(tx, require_verification(tx, client_id, verification_id), ctx.clock.now())

    with ctx.concurrency.of_client(client_id):
        return await ctx.database.read(step)


def events_of(tx: Connection, row: AnyRow, now: float) -> list[Event]:
    """Return the events of a verification, oldest first. `row`: with `verifications.COLUMNS`."""
    happened = [Event(row.created_at, "created", detail=row.purpose)]
    happened += [_send(send) for send in sends.of_verification(tx, row.id)]
    recorded = events.of_verification(tx, row.id)
    happened += [Event(e.at, e.type, route=e.route, result=e.result) for e in recorded]
    # The sort is stable: the check that approved comes before the approval of the same moment.
    return sorted(happened + _final(row, now), key=lambda event: event.at)


def _send(row: AnyRow) -> Event:
    return Event(
        row.started_at, "send", route=row.route, result=row.outcome, detail=row.reason, finished_at=row.finished_at
    )


def _final(row: AnyRow, now: float) -> list[Event]:
    if row.status != "pending":
        return [Event(row.ended_at, row.status, detail=row.reason)]
    status, at = ending(row)
    return [Event(at, status)] if at <= now else []


def require_verification(tx: Connection, client_id: str, verification_id: str) -> AnyRow:
    """Return the row of a client's verification. Refusal: `not_found`."""
    return require(verifications.read(tx, client_id, verification_id), "verification")
