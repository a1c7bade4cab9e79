"""Argon2id over the PIN's pepper MAC, in hash threads behind a bounded queue."""

import asyncio
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from otp_service.errors import Refusal
from otp_service.metrics import HASH_QUEUE
from otp_service.vault import Vault

T = TypeVar("T")

PLACES_PER_THREAD = 100
"""About two seconds of hashing at the default cost: who would wait longer is told to come back."""


@dataclass(frozen=True, slots=True)
class PinHash:
    """A PHC string and the id of the secret key whose pepper it was made with."""

    pepper_key: str
    phc: str = field(repr=False)


class PinHasher:
    """Hashes and compares PINs; one thread per core, since Argon2 releases the GIL."""

    def __init__(self, vault: Vault, memory_kib: int, iterations: int, lanes: int, threads: int | None = None) -> None:
        self._vault = vault
        self._argon2 = PasswordHasher(iterations, memory_kib, lanes, hash_len=32, salt_len=16, type=Type.ID)
        self._dummy = self._argon2.hash(b"no such pin")
        self.threads = threads or usable_cores()
        self.places = self.threads * PLACES_PER_THREAD
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="hash")
        self._taken = 0
        self._seconds_per_hash = 0.03

    @contextmanager
    def place(self, share: float = 1.0) -> Iterator[None]:
        """A place in the queue while the block runs; Refusal `overloaded` where `share` of all places is taken."""
        if self._taken >= self.places * share:
            raise self.overloaded()
        self._taken += 1
        HASH_QUEUE.set(self._taken)
        try:
            yield
        finally:
            self._taken -= 1
            HASH_QUEUE.set(self._taken)

    def overloaded(self) -> Refusal:
        """`retry_after`: how long what waits now will take."""
        wait = math.ceil(self._taken * self._seconds_per_hash / self.threads)
        return Refusal("overloaded", "Too much work at once; repeat the request later.", retry_after=max(1, wait))

    async def hash(self, verification_id: str, pin: str) -> PinHash:
        """The hash to keep of a PIN of this verification."""
        key_id, mac = self._vault.new_pin_mac(verification_id, pin)
        return PinHash(key_id, await self._run(lambda: self._argon2.hash(mac)))

    async def matches(self, verification_id: str, pin: str, live: list[PinHash]) -> bool:
        """Whether the PIN is one of the live ones; compares with every one, whatever the first says."""
        macs = [(self._vault.pin_mac(entry.pepper_key, verification_id, pin), entry.phc) for entry in live]
        readable = [(mac, phc) for mac, phc in macs if mac is not None]
        if not readable:
            await self.compare_nothing()
            return False
        return await self._run(lambda: any([self._verify(phc, mac) for mac, phc in readable]))

    async def compare_nothing(self) -> None:
        """As long as a comparison, so that the time of an answer does not tell whether there was one."""
        await self._run(lambda: self._verify(self._dummy, b""))

    def _verify(self, phc: str, mac: bytes) -> bool:
        try:
            return self._argon2.verify(phc, mac)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        def timed() -> T:
            begun = time.perf_counter()
            result = work()
            self._seconds_per_hash += (time.perf_counter() - begun - self._seconds_per_hash) / 16
            return result

        return await asyncio.get_running_loop().run_in_executor(self._pool, timed)

    def close(self) -> None:
        """Ends the threads when what they have is done."""
        self._pool.shutdown(wait=True)


def usable_cores() -> int:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
