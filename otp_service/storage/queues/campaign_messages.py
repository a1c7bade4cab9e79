"""The campaign messages (table `fires`): keywords sent to the campaign platform in a person's name, each at most once.

A row waits while `outcome` and `fired_at` are null and is claimed while only `outcome` is null.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.queues.lease_queue import LeaseQueue
from otp_service.storage.tables import campaign_messages, numbers

c = campaign_messages.c
_SUPERSEDED = "superseded"
QUEUE = LeaseQueue(
    campaign_messages,
    c.due_at,
    c.tries,
    waiting=c.outcome.is_(None) & c.fired_at.is_(None),
    claimed=c.outcome.is_(None) & c.fired_at.is_not(None),
)


def add(tx: Connection, number_id: int, keyword: str, now: float, *, due_at: float) -> None:
    """Add a keyword to send at `due_at`, in place of those that still wait."""
    drop_waiting(tx, number_id)
    row = {"number_id": number_id, "keyword": keyword, "created_at": now, "due_at": due_at, "tries": 0}
    tx.execute(sa.insert(campaign_messages).values(row))


def drop_waiting(tx: Connection, number_id: int) -> None:
    """End what waits for a number, since it is no longer true; a message in progress is not retried."""
    statement = sa.update(campaign_messages).where(c.number_id == number_id, c.outcome.is_(None))
    waits = c.fired_at.is_(None)
    ended = {"outcome": sa.case((waits, _SUPERSEDED)), "due_at": sa.case((waits, None), else_=c.due_at)}
    tx.execute(statement.values(reason=_SUPERSEDED, **ended))


def claim(tx: Connection, now: float, *, lease_until: float, limit: int) -> Sequence[AnyRow]:
    """Claim messages that are due, one of a number at a time.

    `fired_at` is written before the call, so that the platform's echo is recognized.
    """
    earlier = campaign_messages.alias()
    first = ~sa.exists().where(earlier.c.number_id == c.number_id, earlier.c.outcome.is_(None), earlier.c.id < c.id)
    ids = QUEUE.claim(tx, first, now=now, lease_until=lease_until, limit=limit, fired_at=now)
    if not ids:
        return []
    columns = (c.id, c.keyword, c.created_at, c.tries, c.due_at.label("lease_until"), numbers.c.sealed)
    return tx.execute(sa.select(*columns).join(numbers, numbers.c.id == c.number_id).where(c.id.in_(ids))).all()


def settle(tx: Connection, message_id: int, tries: int, *, outcome: str, reason: str) -> bool:
    """End a claim; False if its lease ended first. `tries`: as claimed."""
    ended = {"outcome": outcome, "reason": reason, "due_at": None}
    if outcome == "refused":  # the platform will echo nothing
        ended["fired_at"] = None
    return QUEUE.settle(tx, message_id, tries, ended)


def retry(tx: Connection, message_id: int, tries: int, *, reason: str, due_at: float) -> bool:
    """Queue a claimed message again after the platform refused it; False if it is no longer true."""
    statement = sa.update(campaign_messages).where(c.id == message_id, c.tries == tries, QUEUE.claimed)
    statement = statement.where(c.reason.is_distinct_from(_SUPERSEDED))
    return tx.execute(statement.values(reason=reason, due_at=due_at, fired_at=None)).rowcount == 1


def abandon(tx: Connection, now: float, limit: int) -> int:
    """End claims whose lease has ended: nobody knows whether the keyword was sent, and it is not sent again."""
    return QUEUE.abandon(tx, now, limit, {"outcome": "unknown", "reason": "abandoned", "due_at": None})


def without_echo(tx: Connection, number_id: int, keyword: str, *, sent_after: float, is_sure: bool) -> int | None:
    """Return the id of the oldest message with this keyword that was sent since then and has not come back as a text.

    `is_sure`: not one whose outcome is unknown.
    """
    statement = sa.select(c.id).where(c.number_id == number_id, sa.func.upper(c.keyword) == keyword.upper())
    statement = statement.where(c.fired_at > sent_after, c.echoed_at.is_(None))
    if is_sure:
        statement = statement.where(c.keyword == keyword, c.outcome.is_(None) | (c.outcome == "accepted"))
    return tx.scalar(statement.order_by(c.id).limit(1))


def record_echo(tx: Connection, message_id: int, now: float) -> None:
    """Record that the platform echoed a message."""
    tx.execute(sa.update(campaign_messages).where(c.id == message_id).values(echoed_at=now))


def has_echo(tx: Connection, message_id: int) -> bool:
    """Return whether a text was taken for the echo of the message."""
    return tx.scalar(sa.select(c.echoed_at).where(c.id == message_id)) is not None


def expect_no_echo(tx: Connection, number_id: int, now: float) -> None:
    """Record that no echo is expected any more: the next text from the number is the person's."""
    statement = sa.update(campaign_messages).where(
        c.number_id == number_id, c.fired_at.is_not(None), c.echoed_at.is_(None)
    )
    tx.execute(statement.values(echoed_at=now))


def move_number(tx: Connection, *, keep: int, drop: int) -> None:
    """Give what the campaign platform is to be sent of one row of a number to another row of it."""
    tx.execute(sa.update(campaign_messages).where(campaign_messages.c.number_id == drop).values(number_id=keep))
