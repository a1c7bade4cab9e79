"""Whose hash is next: checks before starts, of each the clients in turn, and nobody too late."""

import asyncio
import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from otp_service.clock import elapsed
from otp_service.hashing.admission import Admission, Rank, Ticket

Waiting = asyncio.Future[None]


class WorkQueue:
    """For one event loop. `threads`: how many hashes run at once; `admission`: where a start gives its place back."""

    def __init__(self, threads: int, admission: Admission) -> None:
        self._admission = admission
        # One more than threads, so that none is idle until the loop hears that it is done.
        self._free = threads + 1
        self._waiting: dict[Rank, OrderedDict[str, deque[Waiting]]] = {rank: OrderedDict() for rank in Rank}
        self._due: list[tuple[float, int, str, Waiting]] = []
        self._was_overdue = False
        self._order = itertools.count()

    @asynccontextmanager
    async def turn(self, ticket: Ticket) -> AsyncIterator[None]:
        """Waits for a free thread; the block runs the work. A start gives its place back after it."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait_for(ticket)
        try:
            yield
        finally:
            self._pass_on()
            if ticket.rank is Rank.START:
                self._admission.give_back(ticket)

    async def _wait_for(self, ticket: Ticket) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[ticket.rank].setdefault(ticket.client, deque()).append(waiting)
        if ticket.rank is Rank.START:
            heapq.heappush(self._due, (ticket.due, next(self._order), ticket.client, waiting))
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # its turn had come
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        # Not twice in a row: checks that wait have the other half.
        overdue = None if self._was_overdue else self._overdue()
        self._was_overdue = overdue is not None
        following = overdue or self._next()
        if following is None:
            self._free += 1
        else:
            following.set_result(None)

    def _overdue(self) -> Waiting | None:
        """The start that is owed an answer, whatever else waits."""
        while self._due and self._due[0][-1].done():
            heapq.heappop(self._due)
        if not self._due or self._due[0][0] > elapsed():
            return None
        _, _, client, waiting = heapq.heappop(self._due)
        its = self._waiting[Rank.START][client]
        its.remove(waiting)
        if not its:
            del self._waiting[Rank.START][client]
        return waiting

    def _next(self) -> Waiting | None:
        for clients in self._waiting.values():
            while clients:
                client, its = clients.popitem(last=False)
                following = its.popleft()
                if its:
                    clients[client] = its  # behind the others
                if not following.done():
                    return following
        return None
