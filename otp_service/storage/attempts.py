"""What a check does to the tables: it spends an attempt before anything is compared, and then says what came of it.

On PostgreSQL each is one statement, without a claim a transaction by itself: round trips are what a check costs there.
SQLite has no INSERT and no UPDATE inside WITH, and no way to go: it takes two or three, in one transaction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage import verifications as stored
from otp_service.storage.engine import AnyRow, insert_of
from otp_service.storage.tables import events, failures, numbers, sends, verifications

v, f = verifications.c, failures.c

# All of them are built once: building one takes longer than running it.
_THIS = sa.bindparam("this", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.Double)
_CLIENT = sa.bindparam("client", type_=sa.Text)
_OF_BUDGET = (f.number_id, f.client_id, f.purpose)

Waits = tuple[tuple[int, float], ...]
"""(from this count on, seconds that the next check waits), the highest count first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What has to match before an attempt is spent. None of `purpose` and `digests`: it was not given."""

    client_id: str
    verification_id: str
    pin_length: int
    session_digest: str | None
    purpose: str | None
    digests: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Spent:
    """`live`: (pepper key, PHC string) of every PIN that counts."""

    purpose: str
    number_id: int
    live: list[list[str]] = field(repr=False)


class Unspent(Enum):
    """Why nothing was spent: the number has to wait, or another condition does not hold."""

    WAITS = "waits"
    NOT_OPEN = "not open"


def spend(tx: Connection, asked: Asked, *, now: float, waits: Waits) -> Spent | Unspent:
    """Spends an attempt of the verification and of the number's failure budget, both or none."""
    given = _given(asked, now)
    which = {"purpose_given": asked.purpose is not None, "digests_given": asked.digests is not None}
    if tx.dialect.name == "sqlite":
        return _spend_in_steps(tx, given, which, waits)
    row = tx.execute(_spending_at_once(insert_of(tx), waits, **which), given).first()
    if row is None:
        return Unspent.NOT_OPEN
    return _spent(row) if row.counted else Unspent.WAITS


def _spend_in_steps(tx: Connection, given: dict[str, Any], which: dict[str, bool], waits: Waits) -> Spent | Unspent:
    counted = tx.execute(_counting(insert_of(tx), waits, **which), given).first()
    if counted is None:
        is_open = tx.execute(_open(**which), given).first() is not None
        return Unspent.WAITS if is_open else Unspent.NOT_OPEN
    live = tx.execute(_SPEND, given).scalar_one()
    return Spent(counted.purpose, counted.number_id, _hashes(live))


def _spent(row: AnyRow) -> Spent:
    return Spent(row.purpose, row.number_id, _hashes(row.live))


def _hashes(lines: str) -> list[list[str]]:
    return [line.split(" ", 1) for line in lines.split("\n")]


def _given(asked: Asked, now: float) -> dict[str, Any]:
    given: dict[str, Any] = {"this": asked.verification_id, "now": now, "client": asked.client_id}
    given |= {"length": asked.pin_length, "session": asked.session_digest}
    if asked.purpose is not None:
        given["for_purpose"] = asked.purpose
    if asked.digests is not None:
        given["digests"] = list(asked.digests.values())
    return given


@cache
def _open(*, purpose_given: bool, digests_given: bool) -> sa.Select[Any]:
    """The verification, where an attempt of it may be spent."""
    statement = (
        sa.select(v.id, v.number_id, v.purpose)
        .where(v.id == _THIS, v.client_id == _CLIENT, v.status == "pending", v.expires_at > _NOW)
        .where(v.attempts_spent < v.attempts, v.pin_length == sa.bindparam("length"))
        .where(v.session_digest.is_not_distinct_from(sa.bindparam("session")))
        .where(sa.exists().where(sends.c.verification_id == v.id, sends.c.pin_hash.is_not(None)))
    )
    if purpose_given:
        statement = statement.where(v.purpose == sa.bindparam("for_purpose"))
    if digests_given:
        known = sa.select(numbers.c.id).where(numbers.c.digest.in_(sa.bindparam("digests", expanding=True)))
        statement = statement.where(v.number_id.in_(known))
    return statement


@cache
def _counting(insert: Callable[[sa.Table], Any], waits: Waits, *, purpose_given: bool, digests_given: bool) -> Any:
    """Counts the check at the number, unless the number waits."""
    return _count(insert, waits, _open(purpose_given=purpose_given, digests_given=digests_given).subquery("open"))


def _count(insert: Callable[[sa.Table], Any], waits: Waits, opened: Any) -> Any:
    checks = f.checks + 1
    # No wait is 0, not now: another process's clock can be a moment behind.
    waits_until = sa.case(*((checks >= least, _NOW + seconds) for least, seconds in waits if seconds), else_=0.0)
    first = next((_NOW + seconds for least, seconds in waits if least <= 1 and seconds), sa.literal(0.0))
    columns = ["number_id", "client_id", "purpose", "checks", "waits_until", "last_at"]
    counted = sa.select(opened.c.number_id, _CLIENT, opened.c.purpose, sa.literal(1), first, _NOW).where(sa.true())
    statement = insert(failures).from_select(columns, counted)
    return statement.on_conflict_do_update(
        index_elements=_OF_BUDGET,
        set_={"checks": checks, "waits_until": waits_until, "last_at": _NOW},
        where=f.waits_until <= _NOW,
    ).returning(f.number_id, f.purpose)


# By value: in RETURNING, SQLite's dialect writes `v.id` as `id`, which would be the send's.
_LIVE = (
    sa.select(sa.func.aggregate_strings(sends.c.pepper_key + " " + sends.c.pin_hash, "\n"))
    .where(sends.c.verification_id == _THIS, sends.c.pin_hash.is_not(None))
    .scalar_subquery()
)
_SPEND = (
    sa.update(verifications)
    .where(v.id == _THIS)
    .values(attempts_spent=v.attempts_spent + 1)
    .returning(_LIVE.label("live"))
)


@cache
def _spending_at_once(
    insert: Callable[[sa.Table], Any], waits: Waits, *, purpose_given: bool, digests_given: bool
) -> sa.Select[Any]:
    # The row is held from here on, so that its conditions still hold when the attempt is spent.
    held = _open(purpose_given=purpose_given, digests_given=digests_given).with_for_update()
    opened = held.cte("open")
    counted = _count(insert, waits, opened).cte("counted")
    spending = sa.update(verifications).where(v.id == opened.c.id, counted.c.number_id == opened.c.number_id)
    spent = spending.values(attempts_spent=v.attempts_spent + 1).returning(v.id).cte("spent")
    was_counted = sa.exists(sa.select(counted.c.number_id)).label("counted")
    return sa.select(opened.c.purpose, opened.c.number_id, was_counted, _LIVE.label("live")).add_cte(spent)


_last = sa.and_(v.status == "pending", v.attempts_compared + 1 >= v.attempts)
_COMPARED = (
    sa.update(verifications)
    .where(v.id == _THIS)
    .values(
        attempts_compared=v.attempts_compared + 1,
        status=sa.case((_last, "exhausted"), else_=v.status),
        ended_at=sa.case((_last, _NOW), else_=v.ended_at),
    )
    .returning(*stored.SHOWN)
)
_EVENT = {"verification_id": _THIS, "at": _NOW, "type": sa.literal("check")}
_NOTE_INCORRECT = sa.insert(events).values(**_EVENT, result=sa.literal("incorrect"))
_INCORRECT_AT_ONCE = _COMPARED.add_cte(_NOTE_INCORRECT.cte("noted"))


def incorrect(tx: Connection, verification_id: str, *, now: float) -> AnyRow:
    """A wrong PIN was compared; the last one exhausts the verification. Its columns `verifications.SHOWN`."""
    given = {"this": verification_id, "now": now}
    if tx.dialect.name != "sqlite":
        return tx.execute(_INCORRECT_AT_ONCE, given).one()
    tx.execute(_NOTE_INCORRECT, given)
    return tx.execute(_COMPARED, given).one()


_APPROVE = (
    sa.update(verifications)
    .where(v.id == _THIS, v.status == "pending")
    .values(status="approved", ended_at=_NOW, phrase_sealed=None)
)
_APPROVED = _APPROVE.returning(*stored.SHOWN)
_NOTE_APPROVED = sa.insert(events).values(**_EVENT, result=sa.literal("approved"))
_CLEAR = sa.delete(failures).where(
    f.number_id == sa.bindparam("number"), f.client_id == _CLIENT, f.purpose == sa.bindparam("for_purpose")
)


def _approving_at_once() -> sa.Select[Any]:
    ended = _APPROVED.cte("ended")
    was_ended = sa.exists(sa.select(ended.c.id))
    event = sa.select(*(value.label(name) for name, value in _EVENT.items()), sa.literal("approved")).where(was_ended)
    noted = sa.insert(events).from_select([*_EVENT, "result"], event).cte("noted")
    return sa.select(ended).add_cte(_CLEAR.where(was_ended).cte("cleared"), noted)


_APPROVE_AT_ONCE = _approving_at_once()


def approve(
    tx: Connection, verification_id: str, *, client_id: str, number_id: int, purpose: str, now: float
) -> AnyRow | None:
    """The right PIN: approves and clears the failure budget; None where the verification is not pending any more."""
    given = {"this": verification_id, "now": now, "client": client_id, "number": number_id, "for_purpose": purpose}
    if tx.dialect.name != "sqlite":
        return tx.execute(_APPROVE_AT_ONCE, given).first()
    row = tx.execute(_APPROVED, given).first()
    if row is not None:
        tx.execute(_CLEAR, given)
        tx.execute(_NOTE_APPROVED, given)
    return row
