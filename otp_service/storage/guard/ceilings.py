"""The table `ceilings`: money reserved in the hours and days of UTC, in millionths of the operator's currency."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow, insert_by
from otp_service.storage.batches import delete, lock
from otp_service.storage.tables import ceilings

c = ceilings.c


@dataclass(frozen=True, slots=True)
class Amount:
    """The price of a message under one ceiling.

    `of_whom`: the client or country, "" of the total; `ends_at`: when the hour or day ends.
    """

    key: str
    scope: str
    of_whom: str
    price: int
    most: int
    ends_at: float


@cache
def _reserve_statement(count: int) -> Compiled:
    return Compiled(lambda dialect: _reserve(insert_by(dialect), count))


def _reserve(insert: Callable[[sa.Table], Any], count: int) -> Any:
    columns = (c.key, c.scope, c.of_whom, c.spent, c.most, c.price, c.ends_at)
    rows = [
        sa.select(*(sa.bindparam(f"{each.name}_{row}", type_=each.type).label(each.name) for each in columns))
        for row in range(count)
    ]
    asked = sa.union_all(*rows).subquery()
    # The first message of a day is under the ceiling too. `WHERE` also keeps SQLite from reading ON CONFLICT as ON.
    fitting = sa.select(*(asked.c[each.name] for each in columns)).where(asked.c.price <= asked.c.most)
    new = insert(ceilings).from_select(columns, fitting)
    spent = c.spent + new.excluded.price
    return new.on_conflict_do_update(
        index_elements=[c.key],
        set_={"spent": spent, "most": new.excluded.most, "price": new.excluded.price},
        where=spent <= new.excluded.most,
    ).returning(c.key)


def reserve(tx: Connection, amounts: Sequence[Amount]) -> set[str]:
    """Reserve the price under each ceiling that has room; return their keys. If any is missing, the caller rolls back.

    One statement: never more than the ceiling, with any number of processes at once.
    """
    values: dict[str, Any] = {}
    for row, each in enumerate(sorted(amounts, key=lambda amount: amount.key)):  # one order for all: no deadlock
        values |= {f"key_{row}": each.key, f"scope_{row}": each.scope, f"of_whom_{row}": each.of_whom}
        values |= {f"spent_{row}": each.price, f"most_{row}": each.most, f"price_{row}": each.price}
        values |= {f"ends_at_{row}": each.ends_at}
    return {row.key for row in _reserve_statement(len(amounts)).all(tx, values)}


def release(tx: Connection, prices: Mapping[str, int]) -> None:
    """Give prices back, each by the key under which it was reserved."""
    for key, price in sorted(prices.items()):
        spent = sa.case((c.spent > price, c.spent - price), else_=0)
        tx.execute(sa.update(ceilings).where(c.key == key).values(spent=spent))


def current(tx: Connection, now: float) -> Sequence[AnyRow]:
    """Return the ceilings of the present hours and days."""
    return tx.execute(sa.select(ceilings).where(c.ends_at > now).order_by(c.scope, c.of_whom, c.ends_at)).all()


def mark_reported(tx: Connection, key: str, percent: int) -> bool:
    """Record that this share was reported; return False if another process did."""
    statement = sa.update(ceilings).where(c.key == key, c.told < percent).values(told=percent)
    return tx.execute(statement).rowcount == 1


def purge(tx: Connection, ended_before: float) -> int:
    """Delete hours and days that ended by then."""
    old = sa.select(c.key).where(c.ends_at <= ended_before)
    return delete(tx, ceilings, c.key, lock(tx, old, by=c.ends_at, to_delete=True))
