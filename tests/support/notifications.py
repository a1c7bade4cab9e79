"""Notifications in tests: posting and reading them, and opting numbers out."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage import numbers, tables
from tests.support.service import Api, Service


async def post(api: Api, to: str, **fields: Any) -> dict[str, Any]:
    """Posts a notification, which must be queued."""
    answer = await api.call("POST", "/v1/notifications", {"to": to, **fields})
    assert answer.status_code == 202, answer.text
    queued: dict[str, Any] = answer.json()
    return queued


async def get(api: Api, notification_id: str) -> dict[str, Any]:
    """Returns a notification as its client sees it."""
    answer = await api.call("GET", f"/v1/notifications/{notification_id}")
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


async def row(service: Service, notification_id: str) -> Any:
    """Returns all columns of a notification."""
    statement = sa.select(tables.notifications).where(tables.notifications.c.id == notification_id)
    return await service.ctx.database.read(lambda tx: tx.execute(statement).one())


async def opt_out(service: Service, to: str, *, opted_out: bool = True) -> None:
    """Opts a number out in the database."""

    def step(tx: Connection) -> None:
        now = service.ctx.clock.now()
        number_id = numbers.upsert(tx, service.ctx.vault, to, seen_until=now)
        tx.execute(sa.delete(tables.opt_outs).where(tables.opt_outs.c.number_id == number_id))
        values = {"number_id": number_id, "opted_out": opted_out, "source": "user", "since": now}
        tx.execute(sa.insert(tables.opt_outs).values(**values))

    await service.ctx.database.write(step)
