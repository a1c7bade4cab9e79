"""Bounds the calls under way that need no hash: no client and no number gets all of the database's connections."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from otp_service.errors import Refusal

MOST_PER_CLIENT = 100
"""In one process."""
MOST_WAIT_SECONDS = 2.0
"""A call about a number waits this long for other calls about it."""


class Concurrency:
    """Bounds the calls of one event loop."""

    def __init__(self) -> None:
        self._clients: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextmanager
    def of_client(self, client_id: str) -> Iterator[None]:
        """Count a call of the client while the block runs. Refusal: `overloaded`."""
        if self._clients[client_id] >= MOST_PER_CLIENT:
            raise _overloaded(f"At most {MOST_PER_CLIENT} such requests of a client are served at once; retry later.")
        self._clients[client_id] += 1
        try:
            yield
        finally:
            self._clients[client_id] -= 1

    @asynccontextmanager
    async def turn_of_subject(self, client_id: str, subject: str) -> AsyncIterator[None]:
        """Do as `turn` for a subject, which is the client's own: another client's has another turn."""
        async with self.turn(client_id, f"{client_id} {subject}"):
            yield

    @asynccontextmanager
    async def turn(self, client_id: str, subject: str) -> AsyncIterator[None]:
        """Count a call, and wait until no other call about the number or verification runs. Refusal: `overloaded`."""
        with self.of_client(client_id):
            lock = self._locks.setdefault(subject, asyncio.Lock())
            try:
                # Without it, each call would take a connection only to wait for the same row.
                async with asyncio.timeout(MOST_WAIT_SECONDS):
                    await lock.acquire()
            except TimeoutError:
                raise _overloaded("Too many requests about one number at once; retry later.") from None
            try:
                yield
            finally:
                lock.release()


def _overloaded(detail: str) -> Refusal:
    return Refusal("overloaded", detail, retry_after=MOST_WAIT_SECONDS)
