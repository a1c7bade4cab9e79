"""The hash queue: which requests are admitted, and whose PIN is hashed next."""

import asyncio
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from secrets import SystemRandom
from typing import Any, TypeVar

from otp_service.errors import Refusal
from otp_service.observability.metrics import HASH_QUEUE

T = TypeVar("T")
Job = tuple[Callable[[], Any], Future[Any], float]  # the last: when it is due, by the queue's clock
Kind = Enum("Kind", ["CHECK", "START"])
MOST_WAIT_SECONDS = {Kind.CHECK: 2.0, Kind.START: 3.0}  # a request that would wait longer for its hash is refused
OVERDUE_SECONDS = {Kind.CHECK: 3.0, Kind.START: 4.5}  # a job that has waited so long is next, whoever's turn it is
MOST_IN_FLIGHT = 1000  # starts: each may hold a connection to the gateway
HASHES_PER_START = 4  # checks go first, but every fourth hash is a start's if one waits
FAIR_SHARE_FROM = 0.5  # of the places: once so many are taken, no client gets more than its share
SMOOTHING = 1 / 16  # of the newest value in a moving average


@dataclass(eq=False)
class Ticket:
    """A request that needs a hash, a resend as a start. `hash_to_come`: it is admitted and not hashed yet."""

    kind: Kind
    client: str
    hash_to_come: bool = False


class HashQueue:
    """Admits the requests of one event loop; each of `threads` threads calls `run_jobs` to run their hashes."""

    def __init__(self, threads: int, seconds_per_hash: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._threads, self._seconds_per_hash, self._clock = threads, seconds_per_hash, clock
        self._queued: dict[Kind, Counter[str]] = {kind: Counter() for kind in Kind}
        self._starts_in_flight: Counter[str] = Counter()
        self._waiting: dict[Kind, OrderedDict[str, deque[Job]]] = {kind: OrderedDict() for kind in Kind}
        self._checks_in_row, self._checks_per_start = 0, 0.0
        self._lock, self._jobs = threading.Lock(), threading.Semaphore(0)

    @contextmanager
    def admit(self, ticket: Ticket) -> Iterator[None]:
        """Count the ticket's hash as queued until it is done or the block ends. Refusal: `overloaded`."""
        wait = self._seconds_until_turn(ticket)
        if wait > MOST_WAIT_SECONDS[ticket.kind] or not self._has_room(ticket):
            later = SystemRandom().uniform(wait, 2 * wait)
            raise Refusal("overloaded", "Too many requests; retry later.", retry_after=later)
        starts = int(ticket.kind is Kind.START)
        self._starts_in_flight[ticket.client] += starts
        ticket.hash_to_come = True
        self._count(ticket, 1)
        try:
            yield
        finally:
            self._count(ticket, -1)
            self._starts_in_flight[ticket.client] -= starts

    @contextmanager
    def at_gateway(self, ticket: Ticket) -> Iterator[None]:
        """Count no hash for the ticket while the block waits for the gateway."""
        self._count(ticket, -1)
        try:
            yield
        finally:
            self._count(ticket, 1)

    async def run(self, ticket: Ticket, work: Callable[[], T]) -> T:
        """Return the result of `work`, which a thread runs when it is the ticket's turn."""
        future: Future[T] = Future()
        with self._lock:
            due = self._clock() + OVERDUE_SECONDS[ticket.kind]
            self._waiting[ticket.kind].setdefault(ticket.client, deque()).append((work, future, due))
        self._jobs.release()
        try:
            return await asyncio.wrap_future(future)
        finally:
            self._count(ticket, -1)
            ticket.hash_to_come = False

    def run_jobs(self) -> None:
        """Run what waits, until the queue is closed and empty."""
        while self._jobs.acquire() and (job := self.pop()) is not None:
            (work, future, _), begun = job, self._clock()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - the caller of `run` gets it
                    future.set_exception(error)
                self._seconds_per_hash += (self._clock() - begun - self._seconds_per_hash) * SMOOTHING
            del job, work, future  # they hold a PIN

    def close(self) -> None:
        """Let the threads end once nothing waits."""
        self._jobs.release(self._threads)

    def pop(self) -> Job | None:
        """Return the next job, None if none waits: checks before starts, overdue jobs first, then clients in turn."""
        with self._lock:
            checks, starts = self._waiting[Kind.CHECK], self._waiting[Kind.START]
            start_is_next = bool(starts) and (not checks or self._checks_in_row >= HASHES_PER_START - 1)
            if start_is_next:
                self._checks_per_start += (self._checks_in_row - self._checks_per_start) * SMOOTHING
            self._checks_in_row = self._checks_in_row + 1 if starts and not start_is_next else 0
            clients = starts if start_is_next else checks
            if (oldest := min(clients, key=lambda client: clients[client][0][2], default=None)) is None:
                return None
            client = oldest if clients[oldest][0][2] <= self._clock() else next(iter(clients))
            jobs = clients.pop(client)
            job = jobs.popleft()
            if jobs:
                clients[client] = jobs  # behind the others
            return job

    def _count(self, ticket: Ticket, hashes: int) -> None:
        if ticket.hash_to_come:
            self._queued[ticket.kind][ticket.client] += hashes
            HASH_QUEUE.inc(hashes)

    def _seconds_until_turn(self, ticket: Ticket) -> float:
        """Return in how many seconds a new hash would begin, after those that come before it."""
        mine = self._queued[ticket.kind][ticket.client]
        turns = sum(min(count, mine + 1) for count in self._queued[ticket.kind].values())
        checks, starts = self._queued[Kind.CHECK].total(), self._queued[Kind.START].total()
        if ticket.kind is Kind.CHECK:
            before = turns + min(starts, turns / (HASHES_PER_START - 1))
        else:  # checks that are still to come go first as well
            before = turns + max(min(checks, (turns + 1) * (HASHES_PER_START - 1)), turns * self._checks_per_start)
        return max(0.0, before + 1 - self._threads) * self._seconds_per_hash / self._threads

    def _has_room(self, ticket: Ticket) -> bool:
        places = max(self._threads, MOST_WAIT_SECONDS[ticket.kind] * self._threads / self._seconds_per_hash)
        room = _has_share(self._queued[ticket.kind], ticket.client, places)
        if ticket.kind is Kind.START and (starts := self._starts_in_flight)[ticket.client]:
            room = room and starts.total() < MOST_IN_FLIGHT and _has_share(starts, ticket.client, MOST_IN_FLIGHT)
        return room


def _has_share(taken: Counter[str], client: str, places: float) -> bool:
    """Return whether the client may take one more place."""
    clients = {client, *(+taken)}  # without those that have none any more
    return taken.total() < FAIR_SHARE_FROM * places or taken[client] < max(1.0, places / len(clients))
