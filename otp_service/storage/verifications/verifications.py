"""The table `verifications`: one atomic statement per decision."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow, insert_by
from otp_service.storage.numbers import SEALED_NUMBER
from otp_service.storage.tables import PENDING, buckets, failures, numbers, opt_outs, sends, verifications
from otp_service.storage.verifications import proofs
from otp_service.storage.verifications.endings import ENDS_AS, ENDS_AT
from otp_service.storage.verifications.proofs import KeptProof
from otp_service.storage.webhook_events import EventSource

v = verifications.c

_THIS = sa.bindparam("this", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.Double)

COLUMNS = (
    v.id,
    v.status,
    v.reason,
    v.purpose,
    v.pin_length,
    v.attempts,
    v.attempts_spent,
    v.spent_at,
    v.sends,
    v.sends_spent,
    v.created_at,
    v.expires_at,
    v.resend_at,
    v.ended_at,
    v.delivery_status,
    v.delivery_route,
    v.delivery_at,
    v.subject,
    v.reference,
    v.channel,
    v.phrase_sealed,
    v.decoy,
    SEALED_NUMBER,
)
"""The columns of a verification that its client sees."""
_kept = [column for column in COLUMNS if isinstance(column, sa.Column) and not column.name.endswith("_sealed")]
_GETS = "webhooks.client_id = changed.client_id AND changed.subject_id IS NULL"  # no challenge
EVENTS = EventSource("verification", v.id, _kept, gets_sql=_GETS)
DELIVERY_EVENTS = EventSource("verification", v.id, _kept, status_sql="changed.delivery_status", gets_sql=_GETS)


def _finding_pending() -> Any:
    client, purpose, slot = (sa.bindparam(name, type_=sa.Text) for name in ("client", "for_purpose", "in_slot"))
    same_slot = sa.and_(v.client_id == client, v.purpose == purpose, v.slot == slot, v.status == PENDING)
    number = sa.bindparam("number", type_=v.number_id.type)
    out = sa.select(opt_outs.c.opted_out).where(opt_outs.c.number_id == number).scalar_subquery()
    waits = sa.select(failures.c.waits_until).where(
        failures.c.number_id == number, failures.c.client_id == client, failures.c.purpose == purpose
    )
    pause = sa.select(buckets.c.arrival).where(buckets.c.key == sa.bindparam("pause", type_=sa.Text))
    one = sa.select(sa.literal(1).label("one")).subquery()
    beside = (
        v.number_id,
        v.blocked,
        waits.scalar_subquery().label("waits_until"),
        pause.scalar_subquery().label("paused_until"),
        out.label("opted_out"),
    )
    return sa.select(*COLUMNS, *beside).select_from(one.outerjoin(verifications, same_slot))


_FIND_PENDING = Compiled(lambda _: _finding_pending())


def find_pending(
    tx: Connection, *, client_id: str, purpose: str, slot: str, number_id: int, pause_key: str | None
) -> AnyRow:
    """Return one row: the pending verification of the slot, all None if there is none, and the state of the number.

    `waits_until`: of its failure budget; `paused_until`: of the bucket `pause_key`; `opted_out`. Each may be None.
    """
    given = {"client": client_id, "for_purpose": purpose, "in_slot": slot, "number": number_id, "pause": pause_key}
    return cast("AnyRow", _FIND_PENDING.first(tx, given))


def of_number_since(tx: Connection, *, client_id: str, number_id: int, purpose: str, since: float) -> Sequence[AnyRow]:
    """Return the verifications of a number that are open or ended since then, newest first.

    `in_flight`: one of its sends has no outcome yet.
    """
    in_flight = sa.exists().where(sends.c.verification_id == v.id, sends.c.outcome.is_(None)).label("in_flight")
    statement = sa.select(
        v.status, v.reason, v.channel, v.delivery_status, v.session_digest, v.created_at, v.ended_at, in_flight
    ).where(v.number_id == number_id, v.client_id == client_id, v.purpose == purpose)
    open_or_since = sa.or_(v.ended_at.is_(None), v.ended_at >= since)
    return tx.execute(statement.where(open_or_since).order_by(v.created_at.desc())).all()


@cache
def _insert_statement(columns: frozenset[str]) -> Compiled:
    row = {name: sa.bindparam(f"new_{name}", type_=v[name].type) for name in columns}
    return Compiled(
        lambda dialect: insert_by(dialect)(verifications).values(**row).on_conflict_do_nothing().returning(v.id)
    )


def insert(tx: Connection, values: Mapping[str, Any]) -> bool:
    """Add a verification; return False if another one claimed its slot at the same moment."""
    row = {f"new_{name}": value for name, value in values.items()}
    return _insert_statement(frozenset(values)).first(tx, row) is not None


_OF_A_CHALLENGE = (v.subject_id, v.factor_id)


def _select() -> Any:
    digest = sa.select(numbers.c.digest).where(numbers.c.id == v.number_id).scalar_subquery()
    request = (v.client_id, v.session_digest, v.locale, v.carrier, v.address_digest, v.blocked)
    statement = sa.select(*COLUMNS, v.number_id, *request, *_OF_A_CHALLENGE, *proofs.COLUMNS, digest.label("digest"))
    return statement.where(v.id == _THIS, v.client_id == sa.bindparam("client", type_=sa.Text))


_READ = Compiled(lambda _: _select())


def read(tx: Connection, client_id: str, verification_id: str) -> AnyRow | None:
    """Return a client's verification: `COLUMNS`, and those that checks, resends and proofs need."""
    return cast("AnyRow | None", _READ.first(tx, {"this": verification_id, "client": client_id}))


def number_id(tx: Connection, verification_id: str) -> int:
    """Return the id of the number's row, which a merge of two rows of the number changes; lock the verification."""
    return int(tx.execute(sa.select(v.number_id).where(v.id == verification_id).with_for_update()).scalar_one())


def factor_id(tx: Connection, challenge_id: str) -> str | None:
    """Return the id of the factor that is challenged; until the commit no switch changes it."""
    return tx.scalar(sa.select(v.factor_id).where(v.id == challenge_id).with_for_update())


_END = (
    sa.update(verifications)
    .where(v.id == _THIS, v.status == PENDING, ENDS_AT > _NOW)
    .values(ended_at=_NOW, phrase_sealed=None)
    .returning(*COLUMNS)
)


def cancel(tx: Connection, verification_id: str, *, reason: str, now: float) -> AnyRow | None:
    """Cancel a pending verification; return None if it has ended."""
    return _end(tx, verification_id, {"status": "canceled", "reason": reason}, now)


def approve_inbound(tx: Connection, verification_id: str, *, proof: KeptProof, now: float) -> AnyRow | None:
    """Approve a pending verification that a text proved; return None if it has ended."""
    return _end(tx, verification_id, {"status": "approved", **proof.parameters}, now)


def _end(tx: Connection, verification_id: str, values: Mapping[str, Any], now: float) -> AnyRow | None:
    row = tx.execute(_END.values(values), {"this": verification_id, "now": now}).first()
    if row is not None:
        EVENTS.record(tx, [verification_id], now=now)
    return row


def clear_slot(tx: Connection, verification_id: str, now: float) -> None:
    """End the pending verification that holds a slot: as superseded, unless it has ended by itself."""
    over = now >= ENDS_AT
    statement = (
        sa.update(verifications)
        .where(v.id == verification_id, v.status == PENDING)
        .values(
            status=sa.case((over, ENDS_AS), else_="canceled"),
            reason=sa.case((over, None), else_="superseded"),
            ended_at=sa.case((over, ENDS_AT), else_=now),
            phrase_sealed=None,
        )
    )
    if tx.execute(statement).rowcount:
        EVENTS.record(tx, [verification_id], now=now)


def claim_resend(
    tx: Connection, client_id: str, verification_id: str, *, now: float, resend_after: Sequence[int]
) -> bool:
    """Spend one of the sends left; return False if the verification does not allow one now.

    `resend_after`: seconds before the second send, the third, ...; the last value holds for all later ones.
    """
    # No wait leaves the time as it is: another process's clock can be a moment behind.
    next_at = [now + seconds if seconds else v.resend_at for seconds in resend_after]
    resend_at = sa.case(dict(enumerate(next_at)), value=v.sends_spent, else_=next_at[-1])
    statement = (
        sa.update(verifications)
        .where(v.id == verification_id, v.client_id == client_id, v.status == PENDING, v.expires_at > now)
        .where(v.attempts_spent < v.attempts, v.sends_spent < v.sends, v.resend_at <= now)
        .values(sends_spent=v.sends_spent + 1, resend_at=resend_at)
    )
    return tx.execute(statement).rowcount == 1


@cache
def _delivery_statement(*, resend_at_moves: bool) -> Compiled:
    return Compiled(lambda _: _record_delivery(resend_at_moves))


def _record_delivery(resend_at_moves: bool) -> Any:
    newest = ~_other_sends(_THIS, sends.c.id > sa.bindparam("send", type_=sends.c.id.type))
    columns = [v.delivery_status, v.delivery_route, v.delivery_at, *([v.resend_at] if resend_at_moves else [])]
    values = {c.name: sa.case((newest, sa.bindparam(f"new_{c.name}", type_=c.type)), else_=c) for c in columns}
    return sa.update(verifications).where(v.id == _THIS).values(**values).returning(*COLUMNS)


def record_delivery(
    tx: Connection, verification_id: str, send_id: int, *, status: str, route: str, at: float, resend_at: float | None
) -> AnyRow:
    """Record how a send went, unless it has a newer send. `resend_at`: None if the next send must wait as before."""
    given = {"this": verification_id, "send": send_id, "new_delivery_status": status, "new_delivery_route": route}
    given |= {"new_delivery_at": at, **({"new_resend_at": resend_at} if resend_at is not None else {})}
    return cast("AnyRow", _delivery_statement(resend_at_moves=resend_at is not None).first(tx, given))


def record_nothing_sent(
    tx: Connection, verification_id: str, send_id: int, *, route: str, now: float, ends: bool
) -> None:
    """Record that every route of a message was refused for sure: it costs no send, and the next need not wait.

    `ends`: if there is no other message, the verification has failed.
    """
    newest = ~_other_sends(verification_id, sends.c.id > send_id)
    only = ~_other_sends(verification_id, sends.c.id != send_id)
    failed = sa.and_(v.status == PENDING, only) if ends else sa.false()
    statement = (
        sa.update(verifications)
        .where(v.id == verification_id)
        .values(
            sends_spent=v.sends_spent - 1,
            resend_at=sa.case((newest, now), else_=v.resend_at),
            status=sa.case((failed, "failed"), else_=v.status),
            reason=sa.case((failed, "gateway_failed"), else_=v.reason),
            ended_at=sa.case((failed, now), else_=v.ended_at),
            delivery_status=sa.case((only, "failed"), else_=v.delivery_status),
            delivery_route=sa.case((only, route), else_=v.delivery_route),
        )
    )
    row = tx.execute(statement.returning(v.status, v.ended_at)).first()  # None if it was purged meanwhile
    if row is not None and row.status == "failed" and row.ended_at == now:
        EVENTS.record(tx, [verification_id], now=now)


def _other_sends(verification_id: str | sa.BindParameter[str], which: sa.ColumnElement[bool]) -> sa.Exists:
    """Return whether the verification has other sends that were not refused for sure."""
    not_refused = sends.c.outcome.is_distinct_from("refused")
    return sa.exists().where(sends.c.verification_id == verification_id, which, not_refused)


def cancel_all_pending(tx: Connection, now: float, reason: str) -> int:
    """Cancel all pending verifications; return how many."""
    statement = sa.update(verifications).where(v.status == PENDING)
    ended = {"status": "canceled", "reason": reason, "ended_at": now, "phrase_sealed": None}
    canceled = tx.execute(statement.values(ended).returning(v.id)).scalars().all()
    EVENTS.record(tx, canceled, now=now)
    return len(canceled)


def move_number(tx: Connection, *, keep: int, drop: int, now: float) -> None:
    """Give the verifications of one row of a number to another row of it; of two pending ones in a slot one stays."""
    dropped, kept = f"number:{drop}", f"number:{keep}"
    twin = verifications.alias()
    has_twin = sa.exists().where(
        twin.c.client_id == v.client_id, twin.c.purpose == v.purpose, twin.c.slot == kept, twin.c.status == PENDING
    )
    ended = {"status": "canceled", "reason": "superseded", "ended_at": now, "phrase_sealed": None}
    mine = sa.update(verifications).where(v.number_id == drop)
    superseded = mine.where(v.slot == dropped, v.status == PENDING, has_twin).values(ended)
    EVENTS.record(tx, tx.execute(superseded.returning(v.id)).scalars().all(), now=now)
    tx.execute(mine.values(number_id=keep, slot=sa.case((v.slot == dropped, kept), else_=v.slot)))
