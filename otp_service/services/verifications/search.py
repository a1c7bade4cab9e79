"""Finds verifications: a client its own ones, an operator all."""

import json
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.clock import Clock
from otp_service.config.policy.policy import LONGEST_LIFETIME
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, invalid_fields
from otp_service.services.context import Context
from otp_service.services.delivery import test_numbers
from otp_service.services.verifications.lifecycle import Event, events_of
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage import numbers
from otp_service.storage.verifications import search as stored_search
from otp_service.storage.verifications.endings import status_at
from otp_service.storage.verifications.search import Filter
from otp_service.vault import SealedFor, Vault

MOST_FOR_OPERATOR = 100
"""Are shown to an operator at once."""

Status = Literal["pending", "approved", "expired", "exhausted", "canceled", "failed"]


@dataclass(frozen=True)
class SearchRequest:
    """The fields of a search. `created_after`: seconds since the epoch; `cursor`: of an earlier page."""

    client_id: str
    to: str | None = field(repr=False)
    subject: str | None
    reference: str | None
    status: Status | None
    created_after: float | None
    limit: int
    cursor: str | None = field(repr=False)


@dataclass(frozen=True)
class Page:
    """Verifications, newest first. `next_cursor`: None on the last page."""

    verifications: list[Verification]
    next_cursor: str | None


@dataclass(frozen=True)
class VerificationHistory:
    """A verification or challenge with its events. `number`: masked, None if there is none; `factor`: its id."""

    id: str
    client: str
    purpose: str
    number: str | None
    status: str
    reason: str | None
    channel: str
    factor: str | None
    decoy: bool
    subject: str | None
    reference: str | None
    created_at: float
    expires_at: float
    events: list[Event]


async def search(ctx: Context, request: SearchRequest) -> Page:
    """Return a page of a client's verifications. Refusals: `invalid`, `invalid_number`."""
    before = _read_cursor(ctx.vault, request)
    # Times are shown without what is less than a millisecond.
    created_from = request.created_after + 0.001 if request.created_after is not None else None
    to = phone.as_kept(request.to) if request.to is not None else None

    def step(tx: Connection) -> list[AnyRow]:
        number_id = numbers.find_id(tx, ctx.vault, to) if to is not None else None
        if to is not None and number_id is None:
            return []
        wanted = Filter(
            client_id=request.client_id,
            number_id=number_id,
            subject=request.subject,
            reference=request.reference,
            status=request.status,
            created_from=created_from,
            before=before,
        )
        return list(stored_search.find(tx, wanted, now=ctx.clock.now(), limit=request.limit + 1))

    with ctx.concurrency.of_client(request.client_id):
        rows = await ctx.database.read(step)
    shown = rows[: request.limit]
    is_last = len(rows) <= request.limit
    return Page([represent(ctx, row) for row in shown], None if is_last else _cursor(ctx.vault, request, shown[-1]))


async def newest_of_number(ctx: Context, client_id: str, purpose: str, to: str) -> str | None:
    """Return the id of a client's newest verification of a number without a session, None if it can only be over.

    Refusal: `invalid_number`.
    """
    e164 = test_numbers.e164(ctx, to)
    created_from = ctx.clock.now() - LONGEST_LIFETIME

    def step(tx: Connection) -> str | None:
        number_id = numbers.find_id(tx, ctx.vault, e164)
        if number_id is None:
            return None
        wanted = Filter(
            client_id=client_id,
            number_id=number_id,
            purpose=purpose,
            without_session=True,
            created_from=created_from,
        )
        rows = stored_search.find(tx, wanted, now=ctx.clock.now(), limit=1)
        return str(rows[0].id) if rows else None

    with ctx.concurrency.of_client(client_id):
        return await ctx.database.read(step)


def _sealed_for(request: SearchRequest) -> str:
    return f"{SealedFor.SEARCH_CURSOR} {request.client_id}"


def _cursor(vault: Vault, request: SearchRequest, last: AnyRow) -> str:
    return vault.seal(_sealed_for(request), json.dumps([last.created_at, last.id]).encode())


def _read_cursor(vault: Vault, request: SearchRequest) -> tuple[float, str] | None:
    if request.cursor is None:
        return None
    plain = vault.open(_sealed_for(request), request.cursor)
    if plain is None:
        raise invalid_fields(FieldError("cursor", "Must be the next_cursor of an earlier response."))
    created_at, verification_id = json.loads(plain)
    return float(created_at), str(verification_id)


async def find_for_operator(
    database: Database,
    vault: Vault,
    clock: Clock,
    *,
    e164: str | None,
    verification_id: str | None,
    subject: str | None,
    reference: str | None,
) -> list[VerificationHistory]:
    """Return the newest verifications of all clients that match what is given, each with its events."""

    def step(tx: Connection) -> list[VerificationHistory]:
        number_id = numbers.find_id(tx, vault, e164) if e164 is not None else None
        if e164 is not None and number_id is None:
            return []
        now = clock.now()
        wanted = Filter(verification_id=verification_id, number_id=number_id, subject=subject, reference=reference)
        rows = stored_search.find(tx, wanted, now=now, limit=MOST_FOR_OPERATOR)
        return [_history(tx, row, now) for row in rows]

    return await database.read(step)


def _history(tx: Connection, row: AnyRow, now: float) -> VerificationHistory:
    return VerificationHistory(
        id=row.id,
        client=row.client,
        purpose=row.purpose,
        number=row.number_masked or None,
        status=status_at(row, now),
        reason=row.reason,
        channel=row.channel,
        factor=row.factor_id,
        decoy=bool(row.decoy),
        subject=row.subject,
        reference=row.reference,
        created_at=row.created_at,
        expires_at=row.expires_at,
        events=events_of(tx, row, now),
    )
