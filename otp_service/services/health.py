"""Whether this process can serve: the database, the schema, and for information the gateway."""

import asyncio
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from otp_service.errors import Unavailable
from otp_service.gateways.base import Outcome, Sent
from otp_service.storage import schema
from otp_service.storage.engine import Database

ANSWER_WITHIN_SECONDS = 2.0


@dataclass
class GatewayHealth:
    """How the newest send of this process went; for people and monitors, no decision rests on it."""

    reason: str = "nothing sent yet"
    trouble: bool = False

    def note(self, sent: Sent) -> None:
        """Remembers an outcome."""
        self.reason, self.trouble = sent.reason, sent.outcome is not Outcome.ACCEPTED


async def database_and_schema(database: Database) -> dict[str, str]:
    """`{"database": "ok" or "unavailable", "schema": "ok", "outdated" or "unknown"}`."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
            found = await writable_revision(database)
    except (Unavailable, TimeoutError):
        return {"database": "unavailable", "schema": "unknown"}
    return {"database": "ok", "schema": "ok" if schema.is_current(found) else "outdated"}


async def writable_revision(database: Database) -> str | None:
    """The schema's revision, from a transaction that may write: a database that cannot be written serves nobody."""

    def look(tx: Connection) -> str | None:
        if schema.is_read_only(tx):
            raise Unavailable("read-only")
        return schema.revision(tx)

    return await database.write(look)
