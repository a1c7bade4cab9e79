"""The history of what was asked for, as `rehearse` reads it: numbers and addresses only as pseudonyms."""

import ipaddress
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from otp_service import phone
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.guard.keys import BLOCK_DIGITS
from otp_service.storage import clients
from otp_service.storage.guard import decisions, messages

PAGE = 500
_PRIVATE = 0xFD
"""The first byte of addresses that are nobody's on the Internet (RFC 4193)."""


@dataclass(frozen=True)
class ExportedRequest:
    """A message that was sent, or a request that was blocked. `approved_after`: seconds, None if it never was."""

    t: float
    to: str
    ip: str | None
    client: str
    approved_after: float | None


async def export(database: Database, *, since: float, until: float) -> AsyncIterator[ExportedRequest]:
    """Return the requests of this time, oldest first, read page by page."""
    names = await database.read(clients.names)
    sent = _pages(database, messages.in_period, (since, 0), until)
    refused = _pages(database, decisions.refused, (since, ""), until)
    async for row in _merged(sent, refused):
        yield _exported(row, names.get(row.client_id, row.client_id))


def _exported(row: AnyRow, client: str) -> ExportedRequest:
    approved_at, address = row.approved_at, row.address_digest
    return ExportedRequest(
        t=row.at,
        to=_in_its_plan(row.pseudonym),
        ip=_pseudonym_of_address(address) if address is not None else None,
        client=client,
        approved_after=max(0.0, approved_at - row.at) if approved_at is not None else None,
    )


def _in_its_plan(pseudonym: str) -> str:
    """Return the pseudonym, or the next number of its block that the country's plan has: `rehearse` takes no other."""
    block, last = pseudonym[:-BLOCK_DIGITS], int(pseudonym[-BLOCK_DIGITS:])
    size = 10**BLOCK_DIGITS
    tried = (f"{block}{(last + step) % size:0{BLOCK_DIGITS}}" for step in range(size))
    return next(filter(phone.is_sendable, tried), pseudonym)


def _pseudonym_of_address(digest: str) -> str:
    """Return an address in a network of its own for each digest."""
    network = bytes([_PRIVATE]) + bytes.fromhex(digest)[:7]
    return str(ipaddress.IPv6Address(network + bytes(8)))


async def _pages(
    database: Database, page: Callable[..., Sequence[AnyRow]], first: tuple[float, Any], until: float
) -> AsyncIterator[AnyRow]:
    after = first
    while True:
        rows = await database.read(partial(page, after=after, until=until, limit=PAGE))
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        after = rows[-1].at, rows[-1].id


async def _merged(first: AsyncIterator[AnyRow], second: AsyncIterator[AnyRow]) -> AsyncIterator[AnyRow]:
    """Return the rows of two iterators, each sorted by time, in the order of their times."""
    other = await anext(second, None)
    async for row in first:
        while other is not None and other.at < row.at:
            yield other
            other = await anext(second, None)
        yield row
    if other is not None:
        yield other
        async for row in second:
            yield row
