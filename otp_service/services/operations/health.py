"""Whether this process can serve: the database and the schema."""

import asyncio

from sqlalchemy.engine import Connection

from otp_service.database.engine import Database
from otp_service.errors import Unavailable
from otp_service.storage import schema

ANSWER_WITHIN_SECONDS = 2.0


async def database_and_schema(database: Database) -> dict[str, str]:
    """Return `{"database": "ok" or "unavailable", "schema": "ok", "outdated" or "unknown"}`."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
            found = await writable_revision(database)
    except (Unavailable, TimeoutError):
        return {"database": "unavailable", "schema": "unknown"}
    return {"database": "ok", "schema": "ok" if schema.is_current(found) else "outdated"}


async def writable_revision(database: Database) -> str | None:
    """Return the schema's revision. Raises Unavailable also if the database is read-only: it can serve nobody."""

    def look(tx: Connection) -> str | None:
        found = schema.revision(tx)
        if schema.is_current(found):
            schema.require_writable(tx)
        return found

    return await database.write(look)
