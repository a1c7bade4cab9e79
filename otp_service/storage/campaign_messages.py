"""The table `fires`: words that the campaign platform is told in a person's name, each at most once.

`outcome` None: still to be told, or under way where `fired_at` is set; `due_at`: when it is told, or its time is over.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.tables import campaign_messages, numbers

c = campaign_messages.c
_SUPERSEDED = "superseded"
_WAITING = c.outcome.is_(None) & c.fired_at.is_(None)


def add(tx: Connection, number_id: int, keyword: str, now: float) -> None:
    """A word to tell, in place of those that still wait."""
    drop_waiting(tx, number_id)
    tx.execute(
        sa.insert(campaign_messages).values(number_id=number_id, keyword=keyword, created_at=now, due_at=now, tries=0)
    )


def drop_waiting(tx: Connection, number_id: int) -> None:
    """What was to be told of a number is no longer true; what is under way right now is not told again."""
    statement = sa.update(campaign_messages).where(c.number_id == number_id, c.outcome.is_(None))
    waits = c.fired_at.is_(None)
    ended = {"outcome": sa.case((waits, _SUPERSEDED)), "due_at": sa.case((waits, None), else_=c.due_at)}
    tx.execute(statement.values(reason=_SUPERSEDED, **ended))


def is_due(tx: Connection, now: float) -> bool:
    """Whether something waits to be told, or was under way for too long."""
    first = tx.scalar(sa.select(c.due_at).where(c.due_at.is_not(None)).order_by(c.due_at).limit(1))
    return first is not None and first <= now


def claim(tx: Connection, *, now: float, lease_until: float, limit: int) -> Sequence[AnyRow]:
    """Takes what is due, the oldest first: each row for one process alone, one of a number at a time.

    `fired_at` is written before the call, so that what comes back of it is known as ours.
    """
    earlier = campaign_messages.alias()
    under_way = sa.exists().where(earlier.c.number_id == c.number_id, earlier.c.outcome.is_(None), earlier.c.id < c.id)
    waiting = sa.select(c.id).where(_WAITING, c.due_at <= now, ~under_way).order_by(c.due_at).limit(limit)
    due = waiting.with_for_update(skip_locked=True).cte("due")  # a subquery could be run again, and take more
    taken = sa.update(campaign_messages).where(c.id.in_(sa.select(due.c.id)), _WAITING)
    taken = taken.values(fired_at=now, due_at=lease_until, tries=c.tries + 1)
    ids = list(tx.execute(taken.returning(c.id)).scalars())
    if not ids:
        return []
    columns = (c.id, c.keyword, c.created_at, c.tries, numbers.c.sealed)
    return tx.execute(sa.select(*columns).join(numbers, numbers.c.id == c.number_id).where(c.id.in_(ids))).all()


def settle(tx: Connection, message_id: int, tries: int, *, outcome: str, reason: str) -> bool:
    """How a claim ended; False where its time was over first. `tries`: as the claim had it."""
    statement = sa.update(campaign_messages).where(*_claimed(message_id, tries))
    ended = {"outcome": outcome, "reason": reason, "due_at": None}
    if outcome == "refused":  # nothing will come back of it
        ended["fired_at"] = None
    return tx.execute(statement.values(ended)).rowcount == 1


def wait(tx: Connection, message_id: int, tries: int, *, reason: str, due_at: float) -> bool:
    """The platform refused the word for sure: nothing will come back of it, and it is told again.

    False where that makes no sense any more.
    """
    statement = sa.update(campaign_messages).where(*_claimed(message_id, tries), c.reason.is_distinct_from(_SUPERSEDED))
    return tx.execute(statement.values(reason=reason, due_at=due_at, fired_at=None)).rowcount == 1


def _claimed(message_id: int, tries: int) -> tuple[sa.ColumnElement[bool], ...]:
    return c.id == message_id, c.tries == tries, c.outcome.is_(None), c.fired_at.is_not(None)


def abandon(tx: Connection, now: float, limit: int) -> int:
    """Claims whose time is over: their process died, nobody knows, and nothing is told again."""
    over = sa.select(c.id).where(c.due_at <= now, c.fired_at.is_not(None))
    over = over.order_by(c.due_at).limit(limit).with_for_update(skip_locked=True)
    statement = sa.update(campaign_messages).where(c.id.in_(over), c.outcome.is_(None))
    return tx.execute(statement.values(outcome="unknown", reason="abandoned", due_at=None)).rowcount


def sent(tx: Connection, number_id: int, sent_after: float) -> Sequence[AnyRow]:
    """What was told of a number since then, the oldest first: id, keyword, echoed_at."""
    statement = sa.select(c.id, c.keyword, c.echoed_at).where(c.number_id == number_id, c.fired_at > sent_after)
    return tx.execute(statement.order_by(c.id)).all()


def record_echo(tx: Connection, message_id: int, now: float) -> None:
    """The word came back as a text."""
    tx.execute(sa.update(campaign_messages).where(c.id == message_id).values(echoed_at=now))


def expect_no_echo(tx: Connection, number_id: int, now: float) -> None:
    """Whatever comes from the number from now on is the person's."""
    statement = sa.update(campaign_messages).where(
        c.number_id == number_id, c.fired_at.is_not(None), c.echoed_at.is_(None)
    )
    tx.execute(statement.values(echoed_at=now))


def move_number(tx: Connection, *, keep: int, drop: int) -> None:
    """Give what the campaign platform is to be sent of one row of a number to another row of it."""
    tx.execute(sa.update(campaign_messages).where(campaign_messages.c.number_id == drop).values(number_id=keep))
