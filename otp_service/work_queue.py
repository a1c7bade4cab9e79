"""Whose hash is next: checks before starts, of each the clients in turn, and nobody too late."""

import asyncio
import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from otp_service.admission import Admission, Rank, Ticket
from otp_service.clock import elapsed

Waiting = asyncio.Future[None]


class WorkQueue:
    """For one event loop. `threads`: how many hashes run at once; `admission`: where a start gives its place back."""

    def __init__(self, threads: int, admission: Admission) -> None:
        self._admission = admission
        # One more than threads, so that none is idle until the loop hears that it is done.
        self._free = threads + 1
        self._waiting: dict[Rank, OrderedDict[str, deque[Waiting]]] = {rank: OrderedDict() for rank in Rank}
        self._due: list[tuple[float, int, Waiting]] = []
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
            heapq.heappush(self._due, (ticket.due, next(self._order), waiting))
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # its turn had come
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        following = self._overdue() or self._next()
        if following is None:
            self._free += 1
        else:
            following.set_result(None)

    def _overdue(self) -> Waiting | None:
        """The start that is owed an answer, whatever else waits."""
        while self._due and self._due[0][2].done():
            heapq.heappop(self._due)
        return self._due[0][2] if self._due and self._due[0][0] <= elapsed() else None

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
