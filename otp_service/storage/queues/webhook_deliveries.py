"""The table `webhook_deliveries`: events on their way to receivers, and what became of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.storage.queues.lease_queue import LeaseQueue
from otp_service.storage.tables import PENDING, SENDING, clients, numbers, webhook_deliveries, webhooks
from otp_service.storage.webhooks import ACTIVE, SECRETS

d, w = webhook_deliveries.c, webhooks.c
QUEUE = LeaseQueue(webhook_deliveries, d.due_at, d.tries, waiting=d.status == PENDING, claimed=d.status == SENDING)
MOST_PER_WEBHOOK = 8
"""Of one webhook, over all processes: a receiver that hangs keeps no more places from the others."""
MOST_SHOWN = 100
SHOWN = (d.id, d.type, d.status, d.tries, d.last_status_code, d.last_error, d.due_at, d.created_at)


def claim(tx: Connection, now: float, *, lease_until: float, limit: int) -> Sequence[AnyRow]:
    """Claim events that are due.

    Each place goes to the client that has the fewest in progress, then to its webhook that has. `limit`: the free
    places; a client without an event in progress gets one even if there is none. With the webhook, the `sealed` number,
    and whether the client was revoked since.
    """
    waiting = _waiting_webhooks(tx, now)
    ids = QUEUE.claim_in_turns(
        tx,
        d.webhook_id,
        list(waiting),
        now=now,
        lease_until=lease_until,
        limit=limit,
        most_each=MOST_PER_WEBHOOK,
        groups=_clients_of_claimed(tx) | waiting,
        places_of_group=places_of_client,
        status="sending",
    )
    return tx.execute(_claimed().where(d.id.in_(ids))).all() if ids else []


def places_of_client(free: int, claimed: int) -> int:
    """Return how many more events of a client may be posted at once: it then has about a quarter of what stays free.

    A client without any may post one even if nothing is free: however many receivers hang, they stop no other client.
    """
    return max(math.ceil((free - 4 * claimed) / 5), 1 if claimed == 0 else 0)


def _waiting_webhooks(tx: Connection, now: float) -> dict[str, str]:
    """Return the active webhooks that have an event due, the longest waiting first, and the client of each."""
    first = sa.select(d.due_at).where(d.webhook_id == w.id, d.status == PENDING).order_by(d.due_at).limit(1)
    columns = (w.id, w.client_id, first.scalar_subquery().label("due_at"))
    firsts = sa.select(*columns).where(w.status == ACTIVE).subquery()
    statement = sa.select(firsts.c.id, firsts.c.client_id).where(firsts.c.due_at <= now).order_by(firsts.c.due_at)
    return {row.id: row.client_id for row in tx.execute(statement)}


def _clients_of_claimed(tx: Connection) -> dict[str, str]:
    """Return the webhooks to which events are being posted, and the client of each."""
    posting = sa.select(d.webhook_id).where(d.status == SENDING)
    return {row.id: row.client_id for row in tx.execute(sa.select(w.id, w.client_id).where(w.id.in_(posting)))}


def _claimed() -> sa.Select[Any]:
    columns = (d.id, d.webhook_id, d.type, d.data, d.created_at, d.tries, d.due_at.label("lease_until"))
    revoked = clients.c.revoked_at.is_not(None).label("client_revoked")
    return (
        sa.select(*columns, w.url, *SECRETS, numbers.c.sealed, revoked)
        .join(webhooks, w.id == d.webhook_id)
        .join(clients, clients.c.id == w.client_id)
        .join(numbers, numbers.c.id == d.number_id, isouter=True)
    )


def settle(tx: Connection, delivery_id: str, tries: int, values: Mapping[str, Any]) -> bool:
    """End a claim; False if its lease ended first. `tries`: as claimed."""
    return QUEUE.settle(tx, delivery_id, tries, values)


def ended(status: str, *, now: float) -> dict[str, Any]:
    """Return the columns of an event that leaves the queue."""
    return {"status": status, "due_at": None, "ended_at": now}


def abandon(tx: Connection, now: float, limit: int) -> int:
    """Make events due again whose process died while it posted them: they may arrive twice."""
    return QUEUE.abandon(tx, now, limit, {"status": "pending", "due_at": now})


def newest(tx: Connection, webhook_id: str) -> Sequence[AnyRow]:
    """Return the last events of a webhook, newest first."""
    statement = sa.select(*SHOWN).where(d.webhook_id == webhook_id)
    return tx.execute(statement.order_by(d.created_at.desc(), d.id.desc()).limit(MOST_SHOWN)).all()


def read(tx: Connection, webhook_id: str, delivery_id: str) -> AnyRow | None:
    """Return an event of a webhook."""
    return tx.execute(sa.select(*SHOWN).where(d.id == delivery_id, d.webhook_id == webhook_id)).first()


def replay(tx: Connection, webhook_id: str, delivery_id: str, now: float) -> None:
    """Make an event due now, with all its tries; one that is being posted stays as it is."""
    statement = sa.update(webhook_deliveries).where(d.id == delivery_id, d.webhook_id == webhook_id)
    again = {"status": "pending", "due_at": now, "tries": 0, "ended_at": None}
    tx.execute(statement.where(d.status != SENDING).values(again))


def failed(tx: Connection, webhook_id: str, limit: int) -> Sequence[str]:
    """Return the ids of events that were given up, newest first."""
    statement = sa.select(d.id).where(d.webhook_id == webhook_id, d.status == "failed")
    return tx.execute(statement.order_by(d.created_at.desc()).limit(limit)).scalars().all()


def count_failed(tx: Connection, webhook_id: str) -> int:
    """Return how many events of a webhook were given up."""
    statement = sa.select(sa.func.count()).select_from(webhook_deliveries)
    return tx.execute(statement.where(d.webhook_id == webhook_id, d.status == "failed")).scalar_one()


def move_number(tx: Connection, *, keep: int, drop: int) -> None:
    """Give the events of one row of a number to another row of it."""
    tx.execute(sa.update(webhook_deliveries).where(d.number_id == drop).values(number_id=keep))
