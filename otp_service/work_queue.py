"""Who may wait for a hash, and whose turn is next: checks before starts, and of each the clients in turn."""

import asyncio
import math
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import IntEnum

from otp_service.clock import elapsed
from otp_service.errors import Refusal
from otp_service.metrics import HASH_QUEUE

PLACES_PER_THREAD = 100
"""However fast hashes are: each place holds a request in memory."""
BURST_SECONDS = 2.0
"""What comes at once may wait so long for its turn."""
STANDING_SECONDS = 0.5
"""What comes when there has been a queue for longer than PATIENCE_SECONDS may wait no longer than this: one that does
not empty only makes everybody late."""
PATIENCE_SECONDS = 3.0
FIRST_GUESS_SECONDS = 0.03


class Rank(IntEnum):
    """Lower goes first."""

    CHECK = 0
    START = 1


SHARE = {Rank.CHECK: 1.0, Rank.START: 0.5}
"""Of all places: starts leave room for checks."""


@dataclass(frozen=True)
class Turn:
    """Who asks, and for what."""

    rank: Rank
    client: str


OURS = Turn(Rank.CHECK, "")
"""Of the service itself."""


class WorkQueue:
    """For one event loop. `threads`: how many works run at once; `places`: how many may run or wait."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.places = threads * PLACES_PER_THREAD
        self._seconds_per_work = FIRST_GUESS_SECONDS
        self._taken: Counter[str] = Counter()
        self._calm_at = elapsed()
        # One more than threads, so that none is idle until the loop hears that it is done.
        self._free = threads + 1
        self._waiting: dict[Rank, OrderedDict[str, deque[asyncio.Future[None]]]] = {
            rank: OrderedDict() for rank in Rank
        }

    @contextmanager
    def place(self, turn: Turn, *, always: bool = False) -> Iterator[Turn]:
        """A place while the block runs; Refusal `overloaded` where there is none. `always`: counted, never refused."""
        total = self._taken.total()
        if not always and not self._admits(turn, total):
            raise self._overloaded(total)
        self._taken[turn.client] += 1
        HASH_QUEUE.set(total + 1)
        try:
            yield turn
        finally:
            self._taken[turn.client] -= 1
            if not self._taken[turn.client]:
                del self._taken[turn.client]
            HASH_QUEUE.set(self._taken.total())

    def _admits(self, turn: Turn, total: int) -> bool:
        places = self._places_now(total) * SHARE[turn.rank]
        if total >= places:
            return False
        # Beyond half of it, nobody takes the room of the others.
        clients = len(self._taken | {turn.client: 1})
        return total < places / 2 or self._taken[turn.client] < max(1.0, places / clients)

    def _places_now(self, total: int) -> float:
        """Fewer while a queue has been standing: then what is accepted is answered soon."""
        now = elapsed()
        if total <= self.threads:
            self._calm_at = now
        seconds = BURST_SECONDS if now - self._calm_at <= PATIENCE_SECONDS else STANDING_SECONDS
        return min(self.places, max(2.0 * self.threads, seconds * self.threads / self._seconds_per_work))

    def _wait(self, total: int) -> float:
        return total * self._seconds_per_work / self.threads

    def _overloaded(self, total: int) -> Refusal:
        """`retry_after`: how long what waits now will take."""
        wait = max(1, math.ceil(self._wait(total)))
        return Refusal("overloaded", "Too much work at once; repeat the request later.", retry_after=wait)

    @asynccontextmanager
    async def turn(self, turn: Turn) -> AsyncIterator[None]:
        """Waits for a free thread; the block runs the work."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait_for(turn)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait_for(self, turn: Turn) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[turn.rank].setdefault(turn.client, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # its turn had come
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        for clients in self._waiting.values():
            while clients:
                client, its = clients.popitem(last=False)
                following = its.popleft()
                if its:
                    clients[client] = its  # behind the others
                if not following.done():
                    following.set_result(None)
                    return
        self._free += 1

    def note(self, seconds: float) -> None:
        """How long one work took, as a moving average."""
        self._seconds_per_work += (seconds - self._seconds_per_work) / 16
