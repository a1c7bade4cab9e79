"""API keys of clients, created in the database as the command does."""

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients.clients import create


async def new_key(database_url: str, name: str) -> str:
    """Returns the API key of a new client."""
    database = Database(database_url)
    try:
        return (await create(database, Clock(), name)).api_key
    finally:
        database.close()
