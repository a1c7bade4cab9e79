"""The table `sends`: one route that is tried for one message; the row is written before the message is sent."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow, counts_by_key
from otp_service.hashing.hasher import PinHash
from otp_service.storage.guard import ceilings
from otp_service.storage.tables import sends, verifications
from otp_service.storage.verifications.verifications import record_delivery

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


def lock_stuck(tx: Connection, started_before: float, limit: int) -> Sequence[AnyRow]:
    """Return sends that began before then and have no outcome: their process died. Locks their verifications."""
    statement = sa.select(s.id, s.verification_id, s.route).where(s.outcome.is_(None), s.started_at < started_before)
    # In the order of the index of open ones: by id, SQLite would read the whole table.
    oldest = statement.join(verifications, v.id == s.verification_id).order_by(s.started_at).limit(limit)
    return tx.execute(oldest.with_for_update(of=verifications, skip_locked=True, key_share=True)).all()


def abandon(tx: Connection, stuck: Sequence[AnyRow], now: float) -> None:
    """Record that the outcomes of sends are unknown for good. The PINs' hashes stay as they are.

    If the gateway was not called for sure, the message gives its price back.
    """
    unspent: Counter[str] = Counter()
    for send in stuck:
        tx.execute(sa.select(v.id).where(v.id == send.verification_id).with_for_update())
        prices = _abandon(tx, send.id, now)
        if prices is None:
            continue
        # The PIN of the gateway died with the process: the person may ask for another one at once.
        resend_at = now if send.route == "pin" else None
        record_delivery(
            tx, send.verification_id, send.id, status="unknown", route=send.route, at=now, resend_at=resend_at
        )
        unspent.update(prices)
    ceilings.release(tx, unspent)  # last and together, because starts lock ceilings last and in the order of keys


def _abandon(tx: Connection, send_id: int, now: float) -> dict[str, int] | None:
    """Record an unknown outcome; return the prices of a message that was never sent, None if the outcome is known.

    A send with prices whose call did not begin cannot begin any more.
    """
    statement = sa.update(sends).where(s.id == send_id, s.outcome.is_(None))
    abandoned = statement.values(outcome="unknown", reason="abandoned", finished_at=now)
    row = tx.execute(abandoned.returning(s.prices, s.begun_at)).first()
    if row is None:
        return None
    return dict(json.loads(row.prices)) if row.prices is not None and row.begun_at is None else {}


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
