"""Rotation of OTP_SECRET_KEYS: what is written under which key, and moving it to the first."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy.engine import Connection

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.operations import renumbering
from otp_service.storage import inbound_cursor, numbers, requests, webhooks
from otp_service.storage.factors import devices, factors, recovery_codes
from otp_service.storage.queues import notifications
from otp_service.storage.verifications import phrases, sends
from otp_service.vault import SealedFor, Vault

BATCH = 200

_Batch = Callable[..., tuple[Any, int]]


@dataclass(frozen=True)
class KeyUse:
    """What still needs a key. `configured`: it is in OTP_SECRET_KEYS.

    No command moves `recovery_codes` and `devices` to another key: only their keyed digests are known.
    """

    key_id: str
    configured: bool
    indexes: bool
    numbers: int
    live_pins: int
    answers: int
    messages: int
    webhooks: int
    totp_secrets: int
    recovery_codes: int
    devices: int

    @property
    def reads(self) -> bool:
        """Return whether data would be unreadable without the key."""
        return self.indexes or any(
            (self.numbers, self.live_pins, self.answers, self.messages, self.webhooks, self.totp_secrets)
        )

    @property
    def needed(self) -> bool:
        """Return whether data would be lost without the key."""
        return self.reads or bool(self.recovery_codes or self.devices)


async def record_index_key(database: Database, vault: Vault) -> str:
    """Return the key of the number index; the first start records it."""

    def step(tx: Connection) -> str:
        numbers.record_index_key(tx, vault.writing_key_id)
        return numbers.index_key(tx) or vault.writing_key_id

    return await database.write(step)


async def status(database: Database, vault: Vault) -> list[KeyUse]:
    """Return every key that is configured or still needed."""

    def step(tx: Connection) -> list[KeyUse]:
        index_key = numbers.index_key(tx)
        counters = (
            numbers.count_by_key,
            sends.count_by_key,
            requests.count_by_key,
            _messages_by_key,
            webhooks.count_by_key,
            factors.count_by_key,
            recovery_codes.count_by_key,
            devices.count_by_key,
        )
        counts = [counter(tx) for counter in counters]
        known = dict.fromkeys([*vault.key_ids, *([index_key] if index_key else []), *chain(*counts)])
        return [
            KeyUse(key_id, key_id in vault.key_ids, key_id == index_key, *(count.get(key_id, 0) for count in counts))
            for key_id in known
        ]

    return await database.read(step)


def _messages_by_key(tx: Connection) -> dict[str, int]:
    """Count by key id the queued texts, phrases, the gateway's message ids and known inbound texts.

    Most are gone in a day or so; the next read of the gateway's list rewrites the inbound texts.
    """
    counters = (
        notifications.count_by_key,
        sends.count_messages_by_key,
        phrases.count_by_key,
        inbound_cursor.count_by_key,
    )
    return dict(sum((Counter(counter(tx)) for counter in counters), Counter()))


async def unusable_factors(database: Database, vault: Vault) -> int:
    """Return how many factors nobody can pass: no configured key opens their secret or their number."""
    after, unusable = "", 0
    while rows := await database.read(partial(factors.readable, after=after, limit=BATCH)):
        opened = (
            numbers.open_number(vault, row.sealed)
            if row.type == "sms"
            else vault.open(SealedFor.TOTP_SECRET, row.secret_sealed)
            for row in rows
        )
        after, unusable = rows[-1].id, unusable + sum(each is None for each in opened)
    return unusable


async def rewrap(database: Database, vault: Vault, clock: Clock, progress: Callable[[int], None]) -> int:
    """Re-index and re-encrypt under the first key what others wrote; return how many values.

    `progress` gets the number so far. Two rows of one number, written under different keys, become one.

    A number that retention has wiped keeps its index until its counters end: `status` shows it.
    """
    await database.write(lambda tx: _move_index(tx, vault))
    done = 0
    batches: tuple[tuple[_Batch, int | str], ...] = (
        (partial(_rewrap_numbers, now=clock.now()), 0),
        (partial(_rewrap_sealed, of=requests, use=SealedFor.ANSWER), 0),
        (partial(_rewrap_sealed, of=notifications, use=SealedFor.NOTIFICATION), ""),
        (partial(_rewrap_sealed, of=factors, use=SealedFor.TOTP_SECRET), ""),
        (_rewrap_webhooks, ""),
    )
    for batch, first in batches:
        last: int | str | None = first
        while last is not None:
            last, count = await database.write(partial(batch, vault=vault, after=last))
            done += count
            progress(done)
    return done


def _move_index(tx: Connection, vault: Vault) -> None:
    numbers.record_index_key(tx, vault.writing_key_id)
    numbers.move_index_key(tx, vault.writing_key_id)


def _rewrap_numbers(tx: Connection, vault: Vault, after: int, now: float) -> tuple[int | None, int]:
    """Return the last id of the batch (None if none is left) and how many numbers were moved."""
    numbers.lock_table(tx)
    rows = numbers.under_other_keys(tx, vault.writing_key_id, after, BATCH)
    moved = 0
    for number_id, _ in rows:
        # Merging another row may have deleted this one.
        e164 = numbers.open_number(vault, numbers.read_sealed(tx, number_id))
        if e164 is not None:
            renumbering.rewrite(tx, vault, number_id, e164, key_id=vault.writing_key_id, now=now)
            moved += 1
    return (rows[-1][0] if rows else None), moved


def _rewrap_sealed(tx: Connection, vault: Vault, after: Any, *, of: Any, use: SealedFor) -> tuple[Any, int]:
    """Return the last id of the batch (None if none is left) and how many values were moved.

    `of`: the storage of a table with one sealed value a row.
    """
    rows = of.under_other_keys(tx, vault.writing_key_id, after, BATCH)
    moved = 0
    for row_id, was in rows:
        sealed = _resealed(vault, use, was)
        if sealed is not None:
            moved += of.rewrite(tx, row_id, was, sealed)
    return (rows[-1][0] if rows else None), moved


def _rewrap_webhooks(tx: Connection, vault: Vault, after: str) -> tuple[str | None, int]:
    rows = webhooks.under_other_keys(tx, vault.writing_key_id, after, BATCH)
    moved = 0
    for row in rows:
        secret, former = (
            _resealed(vault, SealedFor.WEBHOOK, was) for was in (row.secret_sealed, row.former_secret_sealed)
        )
        if secret is not None:
            moved += webhooks.rewrite(tx, row, secret, former)
    return (rows[-1].id if rows else None), moved


def _resealed(vault: Vault, use: SealedFor, was: str | None) -> str | None:
    plain = vault.open(use, was)
    return vault.seal(use, plain) if plain is not None else None
