"""Past decisions of the guard, for operators."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.guard.keys import BLOCK_DIGITS
from otp_service.guard.rules import RULES
from otp_service.services.guard import keys
from otp_service.services.guard.decisions import DENIED
from otp_service.storage import clients
from otp_service.storage.guard import decisions
from otp_service.vault import Vault

PAGE = 500
ALL_RULES = (*RULES, DENIED)
"""What a decision can name: the rules, and the operator's list."""


@dataclass(frozen=True)
class Seen:
    """What a rule saw in a row of counters, with the message, and the limit."""

    rule: str
    row: str
    seen: float
    limit: float


@dataclass(frozen=True)
class PastDecision:
    """A request that a rule would block.

    `number`: without its last digits; `network`: a digest; `action`: what was done; `approved_at`: when the number
    was approved after all.
    """

    id: str
    at: float
    client: str
    purpose: str
    country: str
    number: str = field(repr=False)
    network: str | None
    rule: str
    reasons: list[Seen]
    mode: str
    action: str
    approved_at: float | None


async def list_decisions(
    database: Database, *, since: float, rule: str | None = None, country: str | None = None
) -> AsyncIterator[PastDecision]:
    """Return the decisions since then, newest first, read page by page."""
    before: tuple[float, str] | None = None
    names = await database.read(clients.names)
    while True:
        page = partial(decisions.newest, since=since, rule=rule, country=country, before=before, limit=PAGE)
        rows = await database.read(page)
        for row in rows:
            yield _past(row, names)
        if len(rows) < PAGE:
            return
        before = rows[-1].at, rows[-1].id


async def newest_of_number(database: Database, vault: Vault, e164: str, since: float) -> PastDecision | None:
    """Return the newest decision about a number since then, None if there is none."""
    pseudonym = keys.pseudonym(vault, e164)
    row = await database.read(partial(decisions.newest_of_pseudonym, pseudonym=pseudonym, since=since))
    return _past(row, await database.read(clients.names)) if row is not None else None


def _past(row: AnyRow, names: dict[str, str]) -> PastDecision:
    return PastDecision(
        id=row.id,
        at=row.at,
        client=names.get(row.client_id, row.client_id),
        purpose=row.purpose,
        country=row.country,
        number=row.prefix + "*" * BLOCK_DIGITS,
        network=row.network_digest,
        rule=row.rule,
        reasons=[Seen(**reason) for reason in json.loads(row.reasons)],
        mode=row.mode,
        action=row.action,
        approved_at=row.approved_at,
    )
