"""Client applications and their API keys."""

import hashlib
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.errors import OtpError, Unavailable
from otp_service.storage import clients

CACHED_SECONDS = 2.0
"""A revoked key must be refused within 5 s on every replica."""
MOST_CACHED = 10_000
USE_RECORDED_SECONDS = 3600.0
"""How old the recorded use of a key may be: not every request writes."""
_KEY_START = "otp_"
_KEY = re.compile(rf"{_KEY_START}[A-Za-z0-9_-]{{43}}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ClientError(OtpError):
    """An operator's request about a client that is not possible; the text says what to do."""


@dataclass(frozen=True)
class Client:
    """An application that may call."""

    id: str
    name: str


@dataclass(frozen=True)
class NewKey:
    """A client with its new API key, which is shown only once."""

    id: str
    name: str
    api_key: str = field(repr=False)


class ApiKeyCache:
    """The clients of API keys, cached for two seconds, so that not every request reads the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, tuple[Client, float]] = {}

    async def client_of(self, api_key: str) -> Client | None:
        """Return the client of a key, None if the key is not valid."""
        if not _KEY.fullmatch(api_key):
            return None
        digest = _digest(api_key)
        now = self._clock.now()
        known = self._known.get(digest)
        if known is not None and abs(now - known[1]) < CACHED_SECONDS:
            return known[0]
        row = await self._database.read(lambda tx: clients.by_key(tx, digest, now))
        if row is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= MOST_CACHED:
            self._known.clear()
        if row.last_used_at is None or row.last_used_at < now - USE_RECORDED_SECONDS:
            with suppress(Unavailable):  # nobody is refused because this could not be written down
                await self._database.write(lambda tx: clients.record_use(tx, row.key_id, now))
        client = Client(row.id, row.name)
        self._known[digest] = (client, now)
        return client


async def create(database: Database, clock: Clock, name: str) -> NewKey:
    """Create a client with its first key."""
    _require_name(name)
    client_id, api_key = f"cli_{secrets.token_urlsafe(16)}", _new_key()

    def step(tx: Connection) -> None:
        if clients.by_name(tx, name) is not None:
            raise ClientError(f"There is a client {name} already; `clients rotate {name}` gives it a new key.")
        clients.insert(tx, client_id=client_id, name=name, now=clock.now())
        clients.add_key(tx, client_id=client_id, digest=_digest(api_key), now=clock.now())

    await database.write(step)
    return NewKey(client_id, name, api_key)


async def rotate(database: Database, clock: Clock, name: str, grace_seconds: float) -> NewKey:
    """Create a new key; the earlier ones end after the grace."""
    _require_name(name)
    api_key = _new_key()

    def step(tx: Connection) -> str:
        client = _active(tx, name)
        clients.expire_keys(tx, client_id=client.id, at=clock.now() + grace_seconds)
        clients.add_key(tx, client_id=client.id, digest=_digest(api_key), now=clock.now())
        return str(client.id)

    return NewKey(await database.write(step), name, api_key)


async def revoke(database: Database, clock: Clock, name: str) -> None:
    """Revoke every key of the client."""
    _require_name(name)
    await database.write(lambda tx: clients.revoke(tx, client_id=_active(tx, name).id, now=clock.now()))


async def list_all(database: Database, clock: Clock) -> list[tuple[AnyRow, list[AnyRow]]]:
    """Return all clients by name (id, name, created_at, revoked_at), each with its keys that work.

    A key has id, created_at, expires_at (the end of its grace, None if it was not rotated) and last_used_at, which is
    up to an hour behind.
    """

    def step(tx: Connection) -> list[tuple[AnyRow, list[AnyRow]]]:
        keys = clients.list_keys(tx, clock.now())
        return [(row, [key for key in keys if key.client_id == row.id]) for row in clients.list_all(tx)]

    return await database.read(step)


def _require_name(name: str) -> None:
    """Raise ClientError unless this is a name.

    The text does not show it: it could be an API key, or contain control characters.
    """
    if name.startswith(_KEY_START):
        raise ClientError("That is an API key, or begins like one; name the client instead: `clients list` shows them.")
    if not _NAME.fullmatch(name):
        raise ClientError("A client's name is 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first.")


def find(tx: Connection, name: str) -> AnyRow:
    """Return a client, revoked or not. Raises ClientError."""
    _require_name(name)
    row = clients.by_name(tx, name)
    if row is None:
        raise ClientError(f"There is no client {name}; `clients list` shows them.")
    return row


def find_by_name_or_id(tx: Connection, name_or_id: str) -> AnyRow:
    """Return a client, revoked or not. Raises ClientError."""
    return clients.by_id(tx, name_or_id) or find(tx, name_or_id)


def _active(tx: Connection, name: str) -> AnyRow:
    row = find(tx, name)
    if row.revoked_at is not None:
        raise ClientError(f"The client {name} is revoked; create one with another name.")
    return row


def _new_key() -> str:
    return f"{_KEY_START}{secrets.token_urlsafe(32)}"


def _digest(api_key: str) -> str:
    # 256 random bits need no slow hash.
    return hashlib.sha256(api_key.encode()).hexdigest()
