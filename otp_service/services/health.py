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
    """The schema's revision. Raises Unavailable also where the database cannot be written: it serves nobody."""

    def look(tx: Connection) -> str | None:
        found = schema.revision(tx)
        if schema.is_current(found):
            schema.require_writable(tx)
        return found

    return await database.write(look)
