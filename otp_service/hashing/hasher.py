"""Argon2id over the PIN's pepper MAC, in hash threads behind a bounded queue."""

import base64
import hmac
import os
import secrets
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from argon2 import extract_parameters

from otp_service.hashing.argon2 import Argon2Cost, argon2id
from otp_service.hashing.cores import usable_cores
from otp_service.hashing.queue import HashQueue, Ticket
from otp_service.vault import Vault

NICENESS = 5
"""Of hash threads, above that of the process: the event loop, which refuses what they cannot take, goes first.

Not more, or a flood of requests that need no hash would take their time.
"""


@dataclass(frozen=True, slots=True)
class PinHash:
    """A PHC string and the id of the secret key whose pepper it was made with."""

    pepper_key: str
    phc: str = field(repr=False)


class PinHasher:
    """Hashes and compares PINs, in one thread per core: Argon2 releases the GIL. `queue`: admits requests."""

    def __init__(self, vault: Vault, cost: Argon2Cost) -> None:
        self._vault = vault
        self._cost = cost
        self._dummy, seconds = _dummy(cost)
        self.threads = usable_cores()
        self.queue = HashQueue(self.threads, seconds)
        self._workers = [threading.Thread(target=self._work, name="hash", daemon=True) for _ in range(self.threads)]
        for worker in self._workers:
            worker.start()

    def _work(self) -> None:
        if sys.platform == "linux":  # there it is of the calling thread, elsewhere of the process
            with suppress(OSError):  # a sandbox can refuse the call
                os.nice(NICENESS)
        self.queue.run_jobs()

    async def hash(self, verification_id: str, pin: str, ticket: Ticket) -> PinHash:
        """Return the hash of a PIN of this verification."""

        def work() -> PinHash:
            key_id, mac, salt = self._vault.new_pin_mac(verification_id, pin)
            return PinHash(key_id, argon2id(mac, salt, self._cost.iterations, self._cost.memory_kib))

        return await self.queue.run(ticket, work)

    async def matches(self, verification_id: str, pin: str, live: list[PinHash], ticket: Ticket) -> bool:
        """Return whether the PIN is one of the live ones. One takes as long as several: they share their salt."""

        def work() -> bool:
            macs = [(self._vault.pin_mac(entry.pepper_key, verification_id, pin), entry.phc) for entry in live]
            readable = [(mac, phc) for mac, phc in macs if mac is not None]
            return _any_matches(readable or [(b"", self._dummy)]) and bool(readable)

        return await self.queue.run(ticket, work)

    async def compare_nothing(self, ticket: Ticket) -> None:
        """Take as long as a comparison, so that the time of a response does not reveal whether there was one."""
        await self.queue.run(ticket, lambda: _any_matches([(b"", self._dummy)]))

    def close(self) -> None:
        """End the threads once what waits is done."""
        self.queue.close()
        for worker in self._workers:
            worker.join()


def _dummy(cost: Argon2Cost) -> tuple[str, float]:
    """Return a hash that no PIN has, and how long it took: the better of two, because the first one warms up."""
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        dummy = argon2id(b"no such pin", secrets.token_bytes(16), cost.iterations, cost.memory_kib)
        seconds.append(time.perf_counter() - begun)
    return dummy, min(seconds)


def _any_matches(macs: list[tuple[bytes, str]]) -> bool:
    """Return whether any MAC gives its PHC string; one run of Argon2id for all that share MAC, cost and salt."""
    made: dict[tuple[bytes, str], str] = {}
    found = False
    for mac, phc in macs:
        cost_and_salt = phc.rpartition("$")[0]
        if (mac, cost_and_salt) not in made:
            made[mac, cost_and_salt] = _hash_again(mac, phc)
        found |= hmac.compare_digest(made[mac, cost_and_salt], phc)
    return found


def _hash_again(mac: bytes, phc: str) -> str:
    cost = extract_parameters(phc)
    salt = phc.split("$")[-2]
    raw_salt = base64.b64decode(salt + "=" * (-len(salt) % 4))
    return argon2id(mac, raw_salt, cost.time_cost, cost.memory_cost)
