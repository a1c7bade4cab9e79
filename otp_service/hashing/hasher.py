"""Argon2id over the PIN's pepper MAC, in hash threads behind a bounded queue."""

import base64
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from argon2 import extract_parameters

from otp_service.hashing.admission import Admission, Ticket
from otp_service.hashing.argon2_cost import Argon2Cost
from otp_service.hashing.argon2_memory import hash_secret, without_keeping
from otp_service.hashing.cores import usable_cores
from otp_service.hashing.work_queue import WorkQueue
from otp_service.threads import Job, Threads
from otp_service.vault import Vault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PinHash:
    """A PHC string and the id of the secret key whose pepper it was made with."""

    pepper_key: str
    phc: str = field(repr=False)


class PinHasher:
    """Hashes and compares PINs; one thread per core, since Argon2 releases the GIL. `admission`: who may wait."""

    def __init__(self, vault: Vault, cost: Argon2Cost) -> None:
        self._vault = vault
        self._cost = cost
        begun = time.perf_counter()
        self._dummy = _dummy(cost)
        self.threads = usable_cores()
        self.admission = Admission(self.threads, time.perf_counter() - begun)
        self._queue = WorkQueue(self.threads, self.admission)
        self._threads = Threads(self.threads, "hash")

    async def hash(self, verification_id: str, pin: str, ticket: Ticket) -> PinHash:
        """The hash to keep of a PIN of this verification."""

        def work() -> PinHash:
            key_id, mac, salt = self._vault.new_pin_mac(verification_id, pin)
            return PinHash(key_id, self._hash(mac, salt))

        return await self._run(work, ticket)

    async def matches(self, verification_id: str, pin: str, live: list[PinHash], ticket: Ticket) -> bool:
        """Whether the PIN is one of the live ones. Takes as long for one as for several: they share their salt."""

        def work() -> bool:
            macs = [(self._vault.pin_mac(entry.pepper_key, verification_id, pin), entry.phc) for entry in live]
            readable = [(mac, phc) for mac, phc in macs if mac is not None]
            return _any_matches(readable or [(b"", self._dummy)]) and bool(readable)

        return await self._run(work, ticket)

    async def compare_nothing(self, ticket: Ticket) -> None:
        """As long as a comparison, so that the time of an answer does not tell whether there was one."""
        await self._run(lambda: _any_matches([(b"", self._dummy)]), ticket)

    def _hash(self, mac: bytes, salt: bytes) -> str:
        cost = self._cost
        return hash_secret(mac, salt, cost.iterations, cost.memory_kib).decode()

    async def _run(self, work: Callable[[], T], ticket: Ticket) -> T:
        asked = time.perf_counter()

        def timed() -> tuple[T, float, float]:
            begun = time.perf_counter()
            return work(), begun - asked, time.perf_counter() - begun

        async with self._queue.turn(ticket):
            job = Job.of(timed)
            self._threads.put(job)
            result, waited, seconds = await job.waiting
        self.admission.note(ticket, waited, seconds)
        return cast("T", result)

    def close(self) -> None:
        """Ends the threads when what they have is done."""
        self._threads.end()
        self._threads.join()


def _dummy(cost: Argon2Cost) -> str:
    """This thread never hashes again, and need not keep memory for it."""
    salt = secrets.token_bytes(16)
    return without_keeping(b"no such pin", salt, cost.iterations, cost.memory_kib).decode()


def _any_matches(macs: list[tuple[bytes, str]]) -> bool:
    """Whether any MAC gives its PHC string; one run of Argon2id for all that share MAC, cost and salt."""
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
    return hash_secret(mac, raw_salt, cost.time_cost, cost.memory_cost).decode()
