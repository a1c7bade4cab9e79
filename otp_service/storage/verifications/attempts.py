"""What a check does to the tables: it spends an attempt before anything is compared, and then says what came of it.

On PostgreSQL each is one statement and a transaction by itself, spending only without an `Idempotency-Key`: round trips
are what a check costs there. SQLite has no INSERT and no UPDATE inside WITH, and no round trips: it takes two or three,
in one transaction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow, insert_by
from otp_service.hashing.hasher import PinHash
from otp_service.storage.limits.failures import CLEAR
from otp_service.storage.tables import events, failures, numbers, sends, verifications
from otp_service.storage.verifications import verifications as stored

v, f = verifications.c, failures.c

_THIS = sa.bindparam("this", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.Double)
_CLIENT = sa.bindparam("client", type_=sa.Text)
_PURPOSE = sa.bindparam("for_purpose", type_=sa.Text)

Insert = Callable[[sa.Table], Any]
Waits = tuple[tuple[int, float], ...]
"""(from this count on, seconds that the next check waits), the highest count first."""


@dataclass(frozen=True, slots=True)
class Matching:
    """What has to match before an attempt is spent. None of `purpose` and `digests`: it was not given."""

    client_id: str
    verification_id: str
    pin_length: int
    session_digest: str | None
    purpose: str | None
    digests: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Spent:
    """`live`: the hash of every PIN that counts; `none_left`: of the attempts."""

    purpose: str
    number_id: int
    live: list[PinHash] = field(repr=False)
    none_left: bool


class Unspent(Enum):
    """Why nothing was spent: the number has to wait, or another condition does not hold."""

    WAITS = "waits"
    NOT_OPEN = "not open"


def spend(tx: Connection, matching: Matching, *, now: float, waits: Waits) -> Spent | Unspent:
    """Spends an attempt of the verification and of the number's failure budget, both or none."""
    given = _given(matching, now)
    statements = _spending(waits, matching.purpose is not None, len(matching.digests or ()))
    if tx.dialect.name == "sqlite":
        return _spend_in_steps(tx, given, statements)
    row = statements.at_once.first(tx, given)
    if row is None:
        return Unspent.NOT_OPEN
    return Spent(row.purpose, row.number_id, _hashes(row.live), row.none_left) if row.counted else Unspent.WAITS


def _spend_in_steps(tx: Connection, given: dict[str, Any], statements: "_Spending") -> Spent | Unspent:
    counted = statements.count.first(tx, given)
    if counted is None:
        return Unspent.WAITS if statements.open.first(tx, given) is not None else Unspent.NOT_OPEN
    spent = _SPEND.first(tx, given)
    return Spent(counted.purpose, counted.number_id, _hashes(spent.live), bool(spent.none_left))


def _hashes(lines: str) -> list[PinHash]:
    # Neither an id of a key nor a PHC string has a space or a line's end in it.
    return [PinHash(*line.split(" ")) for line in lines.split("\n")]


def _given(matching: Matching, now: float) -> dict[str, Any]:
    given: dict[str, Any] = {"this": matching.verification_id, "now": now, "client": matching.client_id}
    given |= {"length": matching.pin_length, "session": matching.session_digest}
    if matching.purpose is not None:
        given["for_purpose"] = matching.purpose
    if matching.digests is not None:
        given |= {f"digest_{at}": digest for at, digest in enumerate(matching.digests.values())}
    return given


class _Spending:
    """The statements under a policy and for what is given. `open`: whether an attempt may be spent; `count`: counts it
    at the number, unless the number waits; `at_once`: the same, and spends it."""

    def __init__(self, waits: Waits, purpose_given: bool, digests: int) -> None:
        may = _open(purpose_given, digests)
        self.open = Compiled(lambda _: may)
        self.count = Compiled(lambda dialect: _count(insert_by(dialect), waits, may.subquery("open")))
        self.at_once = Compiled(lambda dialect: _spend_at_once(dialect, waits, may))


_spending = cache(_Spending)


def _open(purpose_given: bool, digests: int) -> sa.Select[Any]:
    statement = (
        sa.select(v.id, v.number_id, v.purpose, (v.attempts_spent + 1 >= v.attempts).label("none_left"))
        .where(v.id == _THIS, v.client_id == _CLIENT, v.status == "pending", v.expires_at > _NOW)
        .where(v.attempts_spent < v.attempts, v.pin_length == sa.bindparam("length"))
        .where(v.session_digest.is_not_distinct_from(sa.bindparam("session")))
        .where(sa.exists().where(sends.c.verification_id == v.id, sends.c.pin_hash.is_not(None)))
    )
    if purpose_given:
        statement = statement.where(v.purpose == _PURPOSE)
    if digests:
        given = [sa.bindparam(f"digest_{at}", type_=sa.Text) for at in range(digests)]
        statement = statement.where(v.number_id.in_(sa.select(numbers.c.id).where(numbers.c.digest.in_(given))))
    return statement


def _count(insert: Insert, waits: Waits, opened: Any) -> Any:
    checks = f.checks + 1
    # No wait is 0, not now: another process's clock can be a moment behind.
    waits_until = sa.case(*((checks >= least, _NOW + seconds) for least, seconds in waits if seconds), else_=0.0)
    first = next((_NOW + seconds for least, seconds in waits if least <= 1 and seconds), sa.literal(0.0))
    columns = ["number_id", "client_id", "purpose", "checks", "waits_until", "last_at"]
    counted = sa.select(opened.c.number_id, _CLIENT, opened.c.purpose, sa.literal(1), first, _NOW).where(sa.true())
    statement = insert(failures).from_select(columns, counted)
    return statement.on_conflict_do_update(
        index_elements=[f.number_id, f.client_id, f.purpose],
        set_={"checks": checks, "waits_until": waits_until, "last_at": _NOW},
        where=f.waits_until <= _NOW,
    ).returning(f.number_id, f.purpose)


def _live(dialect: Dialect) -> sa.Label[str]:
    joined = sa.func.group_concat if dialect.name == "sqlite" else sa.func.string_agg
    lines = joined(sends.c.pepper_key + " " + sends.c.pin_hash, "\n")
    # By value: in RETURNING, SQLite's dialect writes `v.id` as `id`, which would be the send's.
    mine = sa.select(lines).where(sends.c.verification_id == _THIS, sends.c.pin_hash.is_not(None))
    return mine.scalar_subquery().label("live")


_one_more = sa.update(verifications).values(attempts_spent=v.attempts_spent + 1)
_none_left = (v.attempts_spent >= v.attempts).label("none_left")
_SPEND = Compiled(lambda dialect: _one_more.where(v.id == _THIS).returning(_none_left, _live(dialect)))


def _spend_at_once(dialect: Dialect, waits: Waits, may: sa.Select[Any]) -> sa.Select[Any]:
    # The row is held from here on, so that its conditions still hold when the attempt is spent.
    opened = may.with_for_update(key_share=True).cte("open")
    counted = _count(insert_by(dialect), waits, opened).cte("counted")
    spending = _one_more.where(v.id == opened.c.id, counted.c.number_id == opened.c.number_id)
    spent = spending.returning(v.id).cte("spent")
    was_counted = sa.exists(sa.select(counted.c.number_id)).label("counted")
    of_it = opened.c.purpose, opened.c.number_id, opened.c.none_left
    return sa.select(*of_it, was_counted, _live(dialect)).add_cte(spent)


_exhausts = sa.and_(v.status == "pending", v.attempts_compared + 1 >= v.attempts)
_one_more_compared = sa.update(verifications).where(v.id == _THIS).values(attempts_compared=v.attempts_compared + 1)
_comparing_and_open = _one_more_compared.where(sa.not_(_exhausts)).returning(*stored.COLUMNS)
_comparing = _one_more_compared.values(
    status=sa.case((_exhausts, "exhausted"), else_=v.status),
    ended_at=sa.case((_exhausts, _NOW), else_=v.ended_at),
).returning(*stored.COLUMNS)
_COMPARED_AND_OPEN = Compiled(lambda _: _comparing_and_open)
_event = {"verification_id": _THIS, "at": _NOW, "type": sa.literal("check")}
_noting_incorrect = sa.insert(events).values(**_event, result=sa.literal("incorrect"))
_COMPARED = Compiled(lambda _: _comparing)
_NOTE_INCORRECT = Compiled(lambda _: _noting_incorrect)
_INCORRECT_AT_ONCE = Compiled(lambda _: _comparing.add_cte(_noting_incorrect.cte("noted")))


def incorrect(tx: Connection, verification_id: str, *, none_left: bool, now: float) -> AnyRow:
    """A wrong PIN was compared; the last one exhausts the verification. Its columns `verifications.COLUMNS`.

    `none_left`: of the attempts, when this one was spent.
    """
    given = {"this": verification_id, "now": now}
    if tx.dialect.name == "sqlite":
        # SQLite writes every index that a statement could change, and most checks change none.
        row = None if none_left else _COMPARED_AND_OPEN.first(tx, given)
        row = row or _COMPARED.first(tx, given)
        _NOTE_INCORRECT.run(tx, given)
        return cast("AnyRow", row)
    return cast("AnyRow", _INCORRECT_AT_ONCE.first(tx, given))


_approving = (
    sa.update(verifications)
    .where(v.id == _THIS, v.status == "pending")
    .values(status="approved", ended_at=_NOW, phrase_sealed=None)
    .returning(*stored.COLUMNS)
)


def _approve_at_once() -> sa.Select[Any]:
    ended = _approving.cte("ended")
    was_ended = sa.exists(sa.select(ended.c.id))
    event = sa.select(*(value.label(name) for name, value in _event.items()), sa.literal("approved")).where(was_ended)
    noted = sa.insert(events).from_select([*_event, "result"], event).cte("noted")
    return sa.select(ended).add_cte(CLEAR.where(was_ended).cte("cleared"), noted)


_APPROVE = Compiled(lambda _: _approving)
_CLEAR = Compiled(lambda _: CLEAR)
_NOTE_APPROVED = Compiled(lambda _: sa.insert(events).values(**_event, result=sa.literal("approved")))
_APPROVE_AT_ONCE = Compiled(lambda _: _approve_at_once())


def approve(
    tx: Connection, verification_id: str, *, client_id: str, number_id: int, purpose: str, now: float
) -> AnyRow | None:
    """The right PIN: approves and clears the failure budget; None where the verification is not pending any more."""
    given = {"this": verification_id, "now": now, "client": client_id, "number": number_id, "for_purpose": purpose}
    if tx.dialect.name != "sqlite":
        return cast("AnyRow | None", _APPROVE_AT_ONCE.first(tx, given))
    row = cast("AnyRow | None", _APPROVE.first(tx, given))
    if row is not None:
        _CLEAR.run(tx, given)
        _NOTE_APPROVED.run(tx, given)
    return row
