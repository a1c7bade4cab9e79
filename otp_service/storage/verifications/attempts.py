"""The first decision of a check: spend an attempt before anything is compared. The second is in `comparisons`.

On PostgreSQL it is one statement and a transaction by itself, because round trips are what a check costs there. With
an `Idempotency-Key`, it shares its transaction with the lock of that key. SQLite allows no INSERT or UPDATE inside
WITH, and has no round trips: it takes two or three statements in one transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.hashing.hasher import PinHash
from otp_service.storage.factors.failures import FACTORS, RECOVERY_CODES
from otp_service.storage.verifications.sessions import SAME_SESSION, Session

WaitSteps = tuple[tuple[int, float], ...]
"""(from this count on, seconds until the next check), the highest count first."""


@dataclass(frozen=True, slots=True)
class AttemptConditions:
    """What must match before an attempt is spent. `purpose` and `digests` are None if the check does not name them.

    `pin_length`: None if the check compares no PIN of a message, but a TOTP value or a recovery code.
    """

    client_id: str
    verification_id: str
    pin_length: int | None
    session: Session
    purpose: str | None = None
    digests: Mapping[str, str] | None = None


class FailureCounter(Enum):
    """Whose consecutive wrong checks an attempt counts: the table, its key, and the key's values for a verification."""

    NUMBER = "failures", "number_id, client_id, purpose", "number_id, client_id, purpose"
    SUBJECT = "subject_failures", "subject_id, kind", f"subject_id, '{FACTORS}'"
    RECOVERY_CODES = "subject_failures", "subject_id, kind", f"subject_id, '{RECOVERY_CODES}'"


@dataclass(frozen=True, slots=True)
class Spent:
    """A spent attempt. `live`: the hash of every PIN that counts; `none_left`: it was the last attempt."""

    purpose: str
    live: list[PinHash] = field(repr=False)
    none_left: bool


class Unspent(Enum):
    """Why no attempt was spent: the number or subject is locked after wrong checks, or a condition does not hold."""

    LOCKED = "locked"
    NOT_OPEN = "not open"


def spend(
    tx: Connection,
    conditions: AttemptConditions,
    *,
    now: float,
    wait_steps: WaitSteps,
    counter: FailureCounter = FailureCounter.NUMBER,
) -> Spent | Unspent:
    """Spend an attempt of the verification and count it, both or neither."""
    digests = list((conditions.digests or {}).values())
    values = {
        "this": conditions.verification_id,
        "now": now,
        "client": conditions.client_id,
        "length": conditions.pin_length,
        **conditions.session.parameters,
        "for_purpose": conditions.purpose,
        **{f"digest_{place}": digest for place, digest in enumerate(digests)},
    }
    statements = _spend_statements(wait_steps, len(digests), counter, has_pin=conditions.pin_length is not None)
    spent = (
        statements.in_steps(tx, values) if tx.dialect.name == "sqlite" else statements.one_statement.first(tx, values)
    )
    if spent is None:
        return Unspent.NOT_OPEN
    if not spent.counted:
        return Unspent.LOCKED
    return Spent(spent.purpose, _hashes(spent.live), bool(spent.none_left))


def _hashes(lines: str | None) -> list[PinHash]:
    if lines is None:
        return []
    # Neither a key id nor a PHC string contains a space or a line break.
    return [PinHash(*line.split(" ")) for line in lines.split("\n")]


_LIVE_SQL = (
    "(SELECT {join}(pepper_key || ' ' || pin_hash, '\n') FROM sends"
    " WHERE verification_id = :this AND pin_hash IS NOT NULL) AS live"
)


class _SpendStatements:
    """The statements that spend, under the wait steps of a policy and for a number of digests."""

    def __init__(self, wait_steps: WaitSteps, digests: int, counter: FailureCounter, *, has_pin: bool) -> None:
        may = _OPEN_SQL + (_HAS_PIN_SQL if has_pin else "")
        if digests:
            values = ", ".join(f":digest_{place}" for place in range(digests))
            may += f" AND number_id IN (SELECT id FROM numbers WHERE digest IN ({values}))"
        self._open = Compiled.of_text(f"SELECT FALSE AS counted FROM verifications WHERE {may}")
        self._count = Compiled.of_text(_count_sql(wait_steps, counter, f"verifications WHERE {may}"))
        self.one_statement = Compiled.of_text(f"""
            WITH open AS (
                SELECT id, client_id, number_id, subject_id, purpose, attempts_spent + 1 >= attempts AS none_left
                FROM verifications WHERE {may} FOR NO KEY UPDATE
            ), counted AS ({_count_sql(wait_steps, counter, "open WHERE TRUE")}
            ), spent AS (
                UPDATE verifications SET attempts_spent = attempts_spent + 1, spent_at = :now
                FROM open, counted WHERE verifications.id = open.id RETURNING verifications.id
            )
            SELECT purpose, none_left, EXISTS (SELECT 1 FROM counted) AS counted,
                {_LIVE_SQL.format(join="string_agg")}
            FROM open""")

    def in_steps(self, tx: Connection, values: Mapping[str, Any]) -> Any:
        """Do on SQLite what `one_statement` does."""
        if self._count.first(tx, values) is None:
            return self._open.first(tx, values)
        return _spend_statement.first(tx, values)


_spend_statements = cache(_SpendStatements)

_OPEN_SQL = f"""id = :this AND client_id = :client AND status = 'pending' AND expires_at > :now
    AND attempts_spent < attempts AND {SAME_SESSION}
    AND purpose = COALESCE(:for_purpose, purpose)"""
_HAS_PIN_SQL = """ AND pin_length = :length
    AND EXISTS (SELECT 1 FROM sends WHERE verification_id = :this AND pin_hash IS NOT NULL)"""

_spend_statement = Compiled.of_text(f"""
    UPDATE verifications SET attempts_spent = attempts_spent + 1, spent_at = :now WHERE id = :this
    RETURNING TRUE AS counted, purpose, attempts_spent >= attempts AS none_left,
        {_LIVE_SQL.format(join="group_concat")}""")


def _count_sql(wait_steps: WaitSteps, counter: FailureCounter, opened: str) -> str:
    table, key, values = counter.value
    # No wait is 0, not now: another process's clock may be a moment behind.
    cases = " ".join(f"WHEN {table}.checks + 1 >= {least} THEN :now + {float(s)}" for least, s in wait_steps if s)
    first = next((f":now + {float(seconds)}" for least, seconds in wait_steps if least <= 1 and seconds), "0")
    return f"""
        INSERT INTO {table} ({key}, checks, waits_until, last_at)
        SELECT {values}, 1, {first}, :now FROM {opened}
        ON CONFLICT ({key}) DO UPDATE
        SET checks = {table}.checks + 1, waits_until = CASE {cases or "WHEN FALSE THEN 0"} ELSE 0 END, last_at = :now
        WHERE {table}.waits_until <= :now
        RETURNING checks"""
