"""Prefixes that an operator always or never lets through; each process reads them every few seconds."""

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.services.clients import clients
from otp_service.services.guard.decisions import HIDDEN_DIGITS
from otp_service.services.guard.state import Lists
from otp_service.storage.guard import lists, rows

ALLOW, DENY = "allow", "deny"


async def refresh(database: Database, clock: Clock, known: Lists) -> None:
    """Read the entries."""
    found = await database.read(lambda tx: lists.entries(tx, clock.now()))
    known.entries = {row.prefix: (row.verdict, row.until) for row in found}


async def put(
    database: Database, clock: Clock, prefix: str, verdict: str, *, until: float | None, note: str | None
) -> None:
    """Add an entry, or replace the one of the prefix."""

    def step(tx: Connection) -> None:
        now = clock.now()
        lists.put(tx, prefix, verdict=verdict, until=until, note=note, now=now)
        lists.note(tx, verdict, prefix, note=note, now=now)

    await database.write(step)


async def remove(database: Database, clock: Clock, prefix: str) -> bool:
    """Remove the entry of a prefix; False if there is none."""

    def step(tx: Connection) -> bool:
        removed = lists.remove(tx, prefix)
        if removed:
            lists.note(tx, "forget", prefix, now=clock.now())
        return removed

    return await database.write(step)


async def entries(database: Database, clock: Clock) -> list[AnyRow]:
    """Return the entries that count now, by prefix."""
    return list(await database.read(lambda tx: lists.entries(tx, clock.now())))


async def reset(database: Database, clock: Clock, *, prefix: str | None = None, client: str | None = None) -> int:
    """Forget what is held against a prefix, a client or, without both, everybody; return how many rows it was in.

    `client`: its name or id. Raises ClientError.
    """
    if prefix is not None and phone.is_sendable(prefix):
        prefix = prefix[:-HIDDEN_DIGITS]  # no row keeps the last digits of a number

    def step(tx: Connection) -> int:
        client_id = str(clients.find_by_name_or_id(tx, client).id) if client is not None else None
        count = rows.forget(tx, prefix=prefix, client_id=client_id)
        lists.note(tx, "reset", prefix or client_id or "everything", now=clock.now())
        return count

    return await database.write(step)
