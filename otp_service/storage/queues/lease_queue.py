"""Queues in tables: one process claims a row that is due, holds it for the length of a lease, and settles that claim.

A claim is committed before the work begins. `tries` counts the claims of a row and names the present one, so that a
process whose lease has ended settles nothing. `due_at` is when a waiting row is due, and when the lease of a claimed
one ends.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_NO_ROW = sa.false()


def _all_free(free: int, _claimed: int) -> int:
    return free


@dataclass(frozen=True)
class LeaseQueue:
    """The queue in `table`. `waiting` and `claimed` tell its rows apart; each needs an index on `due_at`.

    Work that may simply be done again when its lease ends has no `claimed` rows: they are waiting again.
    """

    table: sa.Table
    due_at: sa.Column[Any]
    tries: sa.Column[Any]
    waiting: sa.ColumnElement[bool]
    claimed: sa.ColumnElement[bool] = _NO_ROW

    def is_due(self, tx: Connection, now: float) -> bool:
        """Return whether a row is due."""
        # The first of the index: PostgreSQL takes EXISTS over a range for cheap, and reads the whole table.
        first = sa.select(self.due_at).where(self.waiting, self.due_at.is_not(None)).order_by(self.due_at).limit(1)
        due_at = tx.scalar(first)
        return due_at is not None and bool(due_at <= now)

    def claim(
        self, tx: Connection, *only: sa.ColumnElement[bool], now: float, lease_until: Any, limit: int, **values: Any
    ) -> list[Any]:
        """Claim up to `limit` rows that are due and meet `only`, the longest due first; return their ids.

        Skips rows that another process is claiming. `values`: what else a claim changes.
        """
        values |= {self.due_at.name: lease_until, self.tries.name: self.tries + 1}
        return self._change(tx, self.waiting, *only, now=now, limit=limit, values=values)

    def due_again(self, since: sa.Column[Any], after: Sequence[int]) -> sa.ColumnElement[Any]:
        """Return when a row is due after the claim that is made now: the next of `after` from `since`; null if none."""
        later = {tries: since + seconds for tries, seconds in enumerate(after) if tries > 0}
        return sa.case(later, value=self.tries + 1) if later else sa.null()

    def claim_in_turns(
        self,
        tx: Connection,
        owner: sa.Column[Any],
        waiting: Sequence[Any],
        *,
        now: float,
        lease_until: float,
        limit: int,
        most_each: int = sys.maxsize,
        groups: Mapping[Any, Any] | None = None,
        places_of_group: Callable[[int, int], int] = _all_free,
        **values: Any,
    ) -> list[Any]:
        """Claim up to `limit` rows that are due; each place goes to the owner that has the fewest claimed.

        `waiting`: the owners with a row due, the longest waiting first; `most_each`: claimed rows of one owner.
        `groups`: the group of each owner, if groups take turns first. `places_of_group(free, claimed)`: how many more
        rows a group may claim, which can be more than are free.
        """
        in_progress, left, ids = self._claimed_by(tx, owner), list(waiting), list[Any]()
        of_group = Counter[Any]()

        def group_of(each: Any) -> Any:
            return (groups or {}).get(each, each)

        for each, count in in_progress.items():
            of_group[group_of(each)] += count
        while left:
            first = min(left, key=lambda each: (of_group[group_of(each)], in_progress[each]))
            group = group_of(first)
            free = places_of_group(limit - len(ids), of_group[group])
            if free <= 0:  # the other groups have as many claimed, or more
                break
            places = min(1 if len(left) > 1 else free, most_each - in_progress[first])
            mine = owner == first  # IS NULL for rows without an owner
            claimed = []
            if places > 0:
                claimed = self.claim(tx, mine, now=now, lease_until=lease_until, limit=places, **values)
            if not claimed:
                left.remove(first)
            in_progress[first] += len(claimed)
            of_group[group] += len(claimed)
            ids += claimed
        return ids

    def _claimed_by(self, tx: Connection, owner: sa.Column[Any]) -> Counter[Any]:
        """Count the claimed rows of each owner, over all processes."""
        # Counted here: for GROUP BY, SQLite reads the whole index of the owner.
        return Counter(tx.execute(sa.select(owner).where(self.claimed)).scalars())

    def settle(self, tx: Connection, row_id: Any, tries: int, values: Mapping[str, Any]) -> bool:
        """End a claim; False if it has been ended since, or is not the newest of the row. `tries`: as claimed."""
        statement = sa.update(self.table).where(self.table.c.id == row_id, self.tries == tries, self.claimed)
        return tx.execute(statement.values(values)).rowcount == 1

    def abandon(self, tx: Connection, now: float, limit: int, values: Mapping[str, Any]) -> int:
        """End claims whose lease has ended, since their process died; return how many."""
        return len(self._change(tx, self.claimed, now=now, limit=limit, values=values))

    def _change(
        self,
        tx: Connection,
        state: sa.ColumnElement[bool],
        *only: sa.ColumnElement[bool],
        now: float,
        limit: int,
        values: Mapping[str, Any],
    ) -> list[Any]:
        row_id = self.table.c.id
        due = sa.select(row_id).where(state, self.due_at <= now, *only).order_by(self.due_at).limit(limit)
        # A CTE: PostgreSQL may run a subquery again, and take more rows.
        held = due.with_for_update(skip_locked=True).cte("due")
        changed = sa.update(self.table).where(row_id.in_(sa.select(held.c.id)), state).values(values)
        return list(tx.execute(changed.returning(row_id)).scalars())
