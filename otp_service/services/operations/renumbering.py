"""Moves what is kept of a number to another index or another form of the number, and merges two rows of one number."""

from collections.abc import Callable
from functools import partial

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.limits.limits import OF_NUMBER
from otp_service.storage import numbers, opt_outs
from otp_service.storage.factors import factors
from otp_service.storage.guard import known_people
from otp_service.storage.limits import buckets, failures
from otp_service.storage.queues import campaign_messages, notifications, webhook_deliveries
from otp_service.storage.verifications import verifications
from otp_service.vault import SealedFor, Vault

BATCH = 200


async def renumber(
    database: Database, vault: Vault, clock: Clock, progress: Callable[[int], None], *, dry_run: bool = False
) -> int:
    """Write numbers of a former numbering plan in their present form; return how many.

    A dry run only counts them. `progress` gets the number of rows that were looked at. A number that retention has
    wiped cannot be read: it moves when the person is sent something next.
    """
    after, changed, seen = 0, 0, 0
    while True:
        rows = await database.read(partial(numbers.list_readable, after=after, limit=BATCH))
        if not rows:
            return changed
        former = [number_id for number_id, sealed in rows if _present_form(vault, sealed) is not None]
        changed += len(former)
        if former and not dry_run:
            await database.write(partial(_renumber, vault=vault, number_ids=former, now=clock.now()))
        after, seen = rows[-1][0], seen + len(rows)
        progress(seen)


def _present_form(vault: Vault, sealed: str) -> str | None:
    e164 = numbers.open_number(vault, sealed)
    return phone.present_form(e164) if e164 is not None else None


def _renumber(tx: Connection, vault: Vault, number_ids: list[int], now: float) -> None:
    numbers.lock_table(tx)
    for number_id in number_ids:
        sealed = numbers.read_sealed(tx, number_id)
        present = _present_form(vault, sealed) if sealed is not None else None
        if present is not None:
            rewrite(tx, vault, number_id, present, key_id=numbers.index_key(tx) or vault.writing_key_id, now=now)


def rewrite(tx: Connection, vault: Vault, number_id: int, e164: str, *, key_id: str, now: float) -> None:
    """Index a number under a key and seal it under the writing key. Another row of the same number is merged into it.

    The caller has locked the table (`numbers.lock_table`).
    """
    for other in numbers.find_duplicates(tx, number_id, numbers.lookup_digests(vault, e164)):
        _merge(tx, keep=number_id, drop=other, now=now)
    numbers.rewrite(
        tx, number_id, digest=vault.digests(e164)[key_id], sealed=vault.seal(SealedFor.NUMBER, e164.encode())
    )


def _merge(tx: Connection, *, keep: int, drop: int, now: float) -> None:
    """Keep the stricter of what two rows say of a number: opted out, more failures, the later wait."""
    opt_outs.merge(tx, keep=keep, drop=drop)
    verifications.move_number(tx, keep=keep, drop=drop, now=now)
    failures.merge(tx, keep=keep, drop=drop)
    buckets.merge(tx, OF_NUMBER, keep=keep, drop=drop)
    notifications.move_number(tx, keep=keep, drop=drop)
    campaign_messages.move_number(tx, keep=keep, drop=drop)
    webhook_deliveries.move_number(tx, keep=keep, drop=drop)
    factors.move_number(tx, keep=keep, drop=drop)
    known_people.merge(tx, keep=keep, drop=drop)
    numbers.merge(tx, keep=keep, drop=drop)
