"""Rows for the benchmarks: pending verifications to check, and old rows that no request should read."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.clock import Clock
from otp_service.config.secret_keys import parse_secret_keys
from otp_service.database.engine import Database, make_engine
from otp_service.hashing.argon2 import parse_argon2_cost
from otp_service.hashing.hasher import PinHash, PinHasher
from otp_service.hashing.queue import Kind, Ticket
from otp_service.services.clients import clients
from otp_service.storage import numbers
from otp_service.storage.tables import sends, verifications
from otp_service.vault import Vault
from tests.support import old_rows
from tests.support.service import SECRET_KEYS

PIN = "314159"
DAY = 86400.0

OLD_OF_THE_LAST_DAY = 100
"""One of so many still has its number."""


@dataclass(frozen=True)
class Seeded:
    """The values that a load needs."""

    api_key: str
    client_id: str
    verification_ids: list[str]


def number(index: int) -> str:
    """Returns a mobile number."""
    return f"+57301{index:07d}"


def seed(url: str, argon2: str, count: int) -> Seeded:
    """Adds a client and this many pending verifications with the PIN `PIN`, each for its own number."""

    async def make() -> Seeded:
        database, clock = Database(url, patient=True), Clock()
        key = await clients.create(database, clock, "bench")
        client_id = await database.read(lambda tx: str(tx.scalar(sa.text("SELECT id FROM clients"))))
        ids = [f"ver_{index:022d}" for index in range(count)]
        hashes = await _hashes(argon2, ids)
        await database.write(lambda tx: _insert(tx, clock.now(), client_id, ids, hashes))
        database.close()
        return Seeded(key.api_key, client_id, ids)

    return asyncio.run(make())


def rehash(url: str, argon2: str, ids: Sequence[str]) -> None:
    """Hashes the same PINs at another cost."""
    hashes = asyncio.run(_hashes(argon2, ids))
    engine = make_engine(url)
    with engine.begin() as tx:
        for each, pin_hash in zip(ids, hashes, strict=True):
            changed = sa.update(sends).where(sends.c.verification_id == each)
            tx.execute(changed.values(pin_hash=pin_hash.phc, pepper_key=pin_hash.pepper_key))
    engine.dispose()


def add_old(url: str, client_id: str, first: int, last: int) -> None:
    """Adds verifications for these numbers that ended over the last year, with their other rows."""
    engine = make_engine(url)
    old_rows.add(engine.url, client_id, Clock().now(), first, last, every=OLD_OF_THE_LAST_DAY)
    if engine.dialect.name == "postgresql":  # what it does by itself within minutes, it need not do under the load
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
            connection.execute(sa.text("CHECKPOINT"))
    engine.dispose()


async def _hashes(argon2: str, ids: Sequence[str]) -> list[PinHash]:
    hasher = PinHasher(Vault(parse_secret_keys(SECRET_KEYS)), parse_argon2_cost(argon2))
    made = await asyncio.gather(*(hasher.hash(each, PIN, Ticket(Kind.CHECK, "seed")) for each in ids))
    hasher.close()
    return made


def _insert(tx: Connection, now: float, client_id: str, ids: Sequence[str], hashes: Sequence[PinHash]) -> None:
    vault = Vault(parse_secret_keys(SECRET_KEYS))
    numbers.record_index_key(tx, vault.writing_key_id)
    for index, (each, pin_hash) in enumerate(zip(ids, hashes, strict=True)):
        e164 = number(index)
        number_id = numbers.upsert(tx, vault, e164, seen_until=now + DAY)
        tx.execute(sa.insert(verifications).values(**_row(each, client_id, number_id, now)))
        tx.execute(sa.insert(sends).values(**_send(each, pin_hash, now)))


def _row(verification_id: str, client_id: str, number_id: int, now: float) -> dict[str, Any]:
    facts = {"purpose": "signup", "number_masked": "+57******0000", "status": "pending", "pin_length": 6}
    counts = {"attempts": 10**7, "attempts_spent": 0, "attempts_compared": 0, "sends": 3, "sends_spent": 1}
    times = {"created_at": now, "expires_at": now + DAY, "resend_at": now, "delivery_at": now}
    delivery = {"delivery_status": "sent", "delivery_route": "pin"}
    of_whom = {"id": verification_id, "client_id": client_id, "number_id": number_id, "slot": f"number:{number_id}"}
    return {**of_whom, **facts, **counts, **times, **delivery}


def _send(verification_id: str, pin_hash: PinHash, now: float) -> dict[str, Any]:
    went = {"route": "pin", "started_at": now, "finished_at": now, "outcome": "accepted", "reason": "ok"}
    return {
        "verification_id": verification_id,
        "pepper_key": pin_hash.pepper_key,
        "pin_hash": pin_hash.phc,
        **went,
    }
