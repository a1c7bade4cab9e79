"""What must end after a restore from a backup, which knows nothing of what was used or revoked since."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.factors import totp
from otp_service.services.operations.retention import cancel_pending
from otp_service.storage.factors import devices, factors, recovery_codes

BATCH = 1000


@dataclass(frozen=True)
class Ended:
    """How many verifications and challenges were canceled, devices revoked, and subjects that lost their codes."""

    pending: int
    devices: int
    subjects_without_codes: int


async def end_all(database: Database, clock: Clock, *, with_recovery_codes: bool) -> Ended:
    """Cancel what is pending, void proofs, revoke devices, and accept no TOTP value that may have been used before.

    `with_recovery_codes`: delete them too, because codes that were used since the backup are back.
    """
    pending = await cancel_pending(database, clock, "restored")
    # Whoever saw a value that was used seconds ago could otherwise pass a new challenge with it.
    await _each(database, partial(factors.spend_steps, step=totp.newest_step(clock.now())), first="")
    revoked = await _each(database, devices.delete_next, first="")
    without_codes = await _each(database, recovery_codes.delete_next, first=0) if with_recovery_codes else 0
    return Ended(pending, revoked, without_codes)


async def _each(database: Database, batch: Callable[..., Sequence[Any]], *, first: Any) -> int:
    """Run a batch until nothing is left, each in its own transaction; return how many rows there were."""
    after, count = first, 0
    while ids := await database.write(partial(batch, after=after, limit=BATCH)):
        after, count = ids[-1], count + len(ids)
    return count
