"""What is held against a prefix or a client, and how an operator has it forgotten."""

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.guard.keys import BLOCK_DIGITS
from otp_service.services.clients import clients
from otp_service.storage.guard import lists, rows


async def reset(database: Database, clock: Clock, *, prefix: str | None = None, client: str | None = None) -> int:
    """Forget what is held against a prefix, a client or, without both, everybody; return how many rows it was in.

    `client`: its name or id. Raises ClientError.
    """
    if prefix is not None and phone.is_sendable(prefix):
        prefix = prefix[:-BLOCK_DIGITS]  # no row keeps the last digits of a number

    def step(tx: Connection) -> int:
        client_id = str(clients.find_by_name_or_id(tx, client).id) if client is not None else None
        count = rows.forget(tx, prefix=prefix, client_id=client_id)
        lists.record_change(tx, "reset", prefix or client_id or "everything", now=clock.now())
        return count

    return await database.write(step)
