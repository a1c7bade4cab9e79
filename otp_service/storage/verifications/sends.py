"""The table `sends`: one route that is tried for one message; the row is written before the message is sent."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow, counts_by_key
from otp_service.hashing.hasher import PinHash
from otp_service.storage.tables import sends, verifications

s, v = sends.c, verifications.c


def _given(*columns: sa.Column[Any]) -> dict[str, sa.BindParameter[Any]]:
    """Return a parameter for each column, by its name."""
    return {column.name: sa.bindparam(f"new_{column.name}", type_=column.type) for column in columns}


_HASH = (s.pepper_key, s.pin_hash)
_NEW = _given(s.verification_id, s.route, s.started_at, s.request_id, s.guard_keys, s.pseudonym, s.prices, *_HASH)
_INSERT = Compiled(lambda _: sa.insert(sends).values(**_NEW).returning(s.id))
_DONE = _given(s.outcome, s.reason, s.finished_at, *_HASH, s.message_digest, s.message_sealed, s.poll_at)
_FINISH = Compiled(lambda _: sa.update(sends).where(s.id == sa.bindparam("this", type_=s.id.type)).values(**_DONE))


def insert(
    tx: Connection,
    verification_id: str,
    *,
    route: str,
    now: float,
    pin_hash: PinHash | None,
    request_id: int | None,
    prices: Mapping[str, int],
    guard_keys: str | None = None,
    pseudonym: str | None = None,
) -> int:
    """Add a send; return its id. `pin_hash`: of a PIN of ours, which verifies from now on.

    `prices`: what the message holds under the ceilings, by their keys. `guard_keys`: of the rows of the guard that
    count the message; `pseudonym`: of its number. These two only of the first route of a message.
    """
    row = {"verification_id": verification_id, "route": route, "started_at": now, "request_id": request_id}
    row |= {"guard_keys": guard_keys, "pseudonym": pseudonym, "prices": json.dumps(prices) if prices else None}
    return int(_INSERT.first(tx, _named(row | _hash_columns(pin_hash))).id)


def begin(tx: Connection, send_id: int, now: float) -> bool:
    """Record that the gateway is called now; return False if the send was abandoned meanwhile: do not call."""
    statement = sa.update(sends).where(s.id == send_id, s.outcome.is_(None))
    return tx.execute(statement.values(begun_at=now)).rowcount == 1


def finish(
    tx: Connection,
    send_id: int,
    *,
    outcome: str,
    reason: str,
    now: float,
    pin_hash: PinHash | None,
    awaited: Mapping[str, Any],
) -> None:
    """Record the outcome, and the hash of the PIN that counts: the gateway's, ours, or none.

    `awaited`: the columns that find the receipt of the message and say when to poll for it.
    """
    changes = {"outcome": outcome, "reason": reason, "finished_at": now, **_hash_columns(pin_hash)}
    changes |= {"message_digest": None, "message_sealed": None, "poll_at": None, **awaited}
    _FINISH.run(tx, {"this": send_id, **_named(changes)})


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()}


def retire(tx: Connection, verification_id: str, live_pins: int) -> None:
    """Wipe the hashes of sends that are older than the newest `live_pins` accepted ones."""
    oldest_live = (
        sa.select(s.id)
        .where(s.verification_id == verification_id, s.outcome == "accepted")
        .order_by(s.id.desc())
        .limit(1)
        .offset(live_pins - 1)
        .scalar_subquery()
    )
    statement = sa.update(sends).where(
        s.verification_id == verification_id, s.pin_hash.is_not(None), s.id < oldest_live
    )
    tx.execute(statement.values(_hash_columns(None)))


def of_verification(tx: Connection, verification_id: str) -> Sequence[AnyRow]:
    """Return all sends of a verification, oldest first."""
    statement = sa.select(s.route, s.started_at, s.finished_at, s.outcome, s.reason)
    return tx.execute(statement.where(s.verification_id == verification_id).order_by(s.id)).all()


def of_request(tx: Connection, request_id: int) -> AnyRow | None:
    """Return the newest send of a request, if there is one: `id`, `verification_id`, `route`, `outcome`."""
    statement = sa.select(s.id, s.verification_id, s.route, s.outcome).where(s.request_id == request_id)
    return tx.execute(statement.order_by(s.id.desc()).limit(1)).first()


def screened(tx: Connection, verification_ids: Sequence[str]) -> Sequence[AnyRow]:
    """Return `verification_id`, `number_id`, `subject`, and of the newest counted message `guard_keys`, `pseudonym`."""
    other = sends.alias()
    of_it = other.c.verification_id == v.id, other.c.guard_keys.is_not(None)
    newest = sa.select(sa.func.max(other.c.id)).where(*of_it).correlate(verifications).scalar_subquery()
    columns = (v.id.label("verification_id"), v.number_id, v.subject, s.guard_keys, s.pseudonym)
    statement = sa.select(*columns).select_from(verifications.outerjoin(sends, s.id == newest))
    return tx.execute(statement.where(v.id.in_(verification_ids))).all()


def messages(tx: Connection, *, after: tuple[float, int], until: float, limit: int) -> Sequence[AnyRow]:
    """Return messages that the guard counted, oldest first.

    Columns: `at`, `id`, `client_id`, `pseudonym`, `address_digest`; `approved_at` of the newest message of an approved
    verification. `after`: (at, id) of the last one of the page before. Verifications of which nothing was sent are left
    out.
    """
    other = sends.alias()
    of_the_same = other.c.verification_id == s.verification_id, other.c.pseudonym.is_not(None)
    newest = sa.select(sa.func.max(other.c.id)).where(*of_the_same).scalar_subquery()
    approved = sa.and_(v.status == "approved", s.id == newest)
    columns = (s.started_at.label("at"), s.id, v.client_id, s.pseudonym, v.address_digest)
    statement = (
        sa.select(*columns, sa.case((approved, v.ended_at)).label("approved_at"))
        .join(verifications, v.id == s.verification_id)
        .where(s.pseudonym.is_not(None), s.started_at >= after[0], s.started_at <= until, v.status != "failed")
        .where(sa.or_(s.started_at > after[0], s.id > after[1]))
        .order_by(s.started_at, s.id)
    )
    return tx.execute(statement.limit(limit)).all()


def first_message_at(tx: Connection) -> float | None:
    """Return the time of the oldest message that the guard counted."""
    found: float | None = tx.scalar(sa.select(sa.func.min(s.started_at)).where(s.pseudonym.is_not(None)))
    return found


def count_by_key(tx: Connection) -> dict[str, int]:
    """Return the number of live PINs that are peppered with each key id."""
    statement = sa.select(s.pepper_key, sa.func.count()).where(s.pin_hash.is_not(None)).group_by(s.pepper_key)
    return {row[0]: row[1] for row in tx.execute(statement)}


def count_messages_by_key(tx: Connection) -> dict[str, int]:
    """Return the number of the gateway's message ids that are kept under each key id."""
    return counts_by_key(tx, s.message_sealed, s.message_digest)


def _hash_columns(pin_hash: PinHash | None) -> dict[str, str | None]:
    if pin_hash is None:
        return {"pepper_key": None, "pin_hash": None}
    return {"pepper_key": pin_hash.pepper_key, "pin_hash": pin_hash.phc}
