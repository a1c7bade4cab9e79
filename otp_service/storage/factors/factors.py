"""The table `factors`: the phones and authenticator apps of a subject."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow, counts_by_key
from otp_service.storage.tables import factors, numbers, subjects

f = factors.c

UNVERIFIED_SECONDS = 600.0
"""A factor that is not verified by then is gone."""

_sealed = sa.select(numbers.c.sealed).where(numbers.c.id == f.number_id).scalar_subquery()
COLUMNS = (
    f.id,
    f.type,
    f.name,
    f.status,
    f.preferred,
    f.number_id,
    f.number_masked,
    f.secret_sealed,
    f.created_at,
    f.verified_at,
    f.last_used_at,
    _sealed.label("sealed"),
)


_THIS, _NOW = sa.bindparam("this", type_=f.id.type), sa.bindparam("now", type_=sa.Double)


def _exists(now: float | sa.BindParameter[float]) -> sa.ColumnElement[bool]:
    return sa.or_(f.status == "active", f.created_at > now - UNVERIFIED_SECONDS)


_OF_SUBJECT = Compiled(
    lambda _: (
        sa.select(*COLUMNS)
        .where(f.subject_id == sa.bindparam("subject", type_=f.subject_id.type), _exists(_NOW))
        .order_by(f.created_at, f.id)
    )
)


def of_subject(tx: Connection, subject_id: int, now: float) -> Sequence[AnyRow]:
    """Return the factors of a subject, oldest first: `COLUMNS`."""
    return cast("Sequence[AnyRow]", _OF_SUBJECT.all(tx, {"subject": subject_id, "now": now}))


def read(tx: Connection, client_id: str, factor_id: str, now: float) -> AnyRow | None:
    """Return a factor: `COLUMNS`, `subject_id` and `subject`."""
    statement = sa.select(*COLUMNS, f.subject_id, subjects.c.subject).join_from(factors, subjects)
    return tx.execute(statement.where(f.id == factor_id, subjects.c.client_id == client_id, _exists(now))).first()


def insert(tx: Connection, values: Mapping[str, Any]) -> None:
    """Add a factor."""
    tx.execute(sa.insert(factors).values(**values))


def activate(tx: Connection, factor_id: str, *, step: int, now: float) -> bool:
    """Make an unverified TOTP factor active with the step of its first value; return False if it is active or gone."""
    statement = sa.update(factors).where(f.id == factor_id, f.status == "unverified", _exists(now))
    return tx.execute(statement.values(status="active", verified_at=now, last_step=step)).rowcount == 1


_using = sa.update(factors).where(f.id == _THIS, f.status == "active").returning(f.id)
_STEP = sa.bindparam("step", type_=sa.BigInteger)
_USE = Compiled(lambda _: _using.values(last_used_at=_NOW))
_USE_STEP = Compiled(lambda _: _using.where(f.last_step < _STEP).values(last_used_at=_NOW, last_step=_STEP))


def use(tx: Connection, factor_id: str, *, step: int | None = None, now: float) -> bool:
    """Record that an active factor was used; return False if it is gone, or its TOTP step was accepted before.

    `step`: of a TOTP value. Each is accepted once (RFC 6238, section 5.2).
    """
    given = {"this": factor_id, "now": now}
    used = _USE.first(tx, given) if step is None else _USE_STEP.first(tx, {**given, "step": step})
    return used is not None


def rename(tx: Connection, factor_id: str, name: str | None) -> None:
    """Give a factor another name."""
    tx.execute(sa.update(factors).where(f.id == factor_id).values(name=name))


def prefer(tx: Connection, subject_id: int, factor_id: str | None) -> None:
    """Make one factor of the subject the preferred one; None for none."""
    tx.execute(sa.update(factors).where(f.subject_id == subject_id).values(preferred=f.id == (factor_id or "")))


def delete(tx: Connection, factor_id: str) -> None:
    """Delete a factor."""
    tx.execute(sa.delete(factors).where(f.id == factor_id))


def delete_of_subject(tx: Connection, subject_id: int) -> None:
    """Delete every factor of a subject."""
    tx.execute(sa.delete(factors).where(f.subject_id == subject_id))


def delete_other_unverified(tx: Connection, subject_id: int, factor_id: str) -> None:
    """Delete every unverified factor of a subject but one."""
    others = sa.delete(factors).where(f.subject_id == subject_id, f.status == "unverified", f.id != factor_id)
    tx.execute(others)


def move_number(tx: Connection, *, keep: int, drop: int) -> None:
    """Give the factors of one row of a number to another row of it."""
    tx.execute(sa.update(factors).where(f.number_id == drop).values(number_id=keep))


def spend_steps(tx: Connection, *, step: int, after: str, limit: int) -> Sequence[str]:
    """Accept no TOTP step up to this one of the next factors, by id; return their ids."""
    behind = sa.select(f.id).where(f.id > after, f.last_step < step).order_by(f.id).limit(limit)
    ids = tx.scalars(behind).all()
    tx.execute(sa.update(factors).where(f.id.in_(ids), f.last_step < step).values(last_step=step))
    return ids


def count_by_key(tx: Connection) -> dict[str, int]:
    """Return the number of TOTP secrets that are sealed under each key id."""
    return counts_by_key(tx, f.secret_sealed)


def under_other_keys(tx: Connection, key_id: str, after: str, limit: int) -> list[tuple[str, str]]:
    """Return (id, sealed secret) of factors whose secret another key sealed, by id."""
    statement = (
        sa.select(f.id, f.secret_sealed)
        .where(f.id > after, f.secret_sealed.is_not(None), ~f.secret_sealed.startswith(f"{key_id}:", autoescape=True))
        .order_by(f.id)
        .limit(limit)
    )
    return [(row.id, row.secret_sealed) for row in tx.execute(statement)]


def readable(tx: Connection, *, after: str, limit: int) -> Sequence[AnyRow]:
    """Return what the next factors are read with, by id: `id`, `type`, `secret_sealed` and `sealed`, of the number."""
    statement = sa.select(f.id, f.type, f.secret_sealed, _sealed.label("sealed")).where(f.id > after)
    return tx.execute(statement.order_by(f.id).limit(limit)).all()


def rewrite(tx: Connection, factor_id: str, former: str, sealed: str) -> int:
    """Replace a sealed secret unless it has changed; return how many were replaced."""
    statement = sa.update(factors).where(f.id == factor_id, f.secret_sealed == former)
    return tx.execute(statement.values(secret_sealed=sealed)).rowcount
