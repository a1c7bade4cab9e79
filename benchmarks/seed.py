"""Rows for the benchmarks: pending verifications to check, and old ones that are only in the way."""

import asyncio
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.argon2_cost import Argon2Cost
from otp_service.clock import Clock
from otp_service.config.secret_keys import parse_secret_keys
from otp_service.hashing import PinHasher
from otp_service.services import clients
from otp_service.storage import numbers
from otp_service.storage.engine import Database
from otp_service.storage.tables import sends, verifications
from otp_service.vault import Vault

PIN = "314159"


@dataclass(frozen=True)
class Seeded:
    """What a load needs."""

    api_key: str
    verification_ids: list[str]


def number(index: int) -> str:
    """A mobile number."""
    return f"+57301{index:07d}"


async def _seed(url: str, secret_keys: str, cost: Argon2Cost, count: int) -> Seeded:
    database, clock = Database(url), Clock()
    vault = Vault(parse_secret_keys(secret_keys))
    hasher = PinHasher(vault, cost)
    key = await clients.create(database, clock, "bench")
    ids = [f"ver_{index:022d}" for index in range(count)]
    hashes = await asyncio.gather(*(hasher.hash(each, PIN) for each in ids))

    def step(tx: Connection) -> None:
        now = clock.now()
        numbers.record_index_key(tx, vault.writing_key_id)
        client_id = tx.scalar(sa.text("SELECT id FROM clients WHERE name = 'bench'"))
        for index, (each, pin_hash) in enumerate(zip(ids, hashes, strict=True)):
            number_id = numbers.remember(
                tx,
                digests=vault.digests(number(index)),
                sealed=vault.seal("number", number(index).encode()),
                seen_until=now + 600,
            )
            tx.execute(sa.insert(verifications).values(**_row(each, str(client_id), number_id, now)))
            tx.execute(
                sa.insert(sends).values(
                    verification_id=each,
                    route="pin",
                    started_at=now,
                    finished_at=now,
                    outcome="accepted",
                    reason="ok",
                    pepper_key=pin_hash.pepper_key,
                    pin_hash=pin_hash.phc,
                )
            )

    await database.write(step)
    hasher.close()
    database.close()
    return Seeded(key.api_key, ids)


def _row(verification_id: str, client_id: str, number_id: int, now: float) -> dict[str, object]:
    return {
        "id": verification_id,
        "client_id": client_id,
        "purpose": "signup",
        "number_id": number_id,
        "number_masked": "+57******0000",
        "slot": f"number:{number_id}",
        "status": "pending",
        "pin_length": 6,
        "attempts": 10_000_000,
        "attempts_spent": 0,
        "attempts_compared": 0,
        "sends": 3,
        "sends_spent": 1,
        "created_at": now,
        "expires_at": now + 86400,
        "resend_at": now,
        "delivery_status": "sent",
        "delivery_route": "pin",
        "delivery_at": now,
    }


def seed(url: str, secret_keys: str, cost: Argon2Cost, count: int) -> Seeded:
    """So many pending verifications with the PIN `PIN`, each of a number of its own, and a client."""
    return asyncio.run(_seed(url, secret_keys, cost, count))
