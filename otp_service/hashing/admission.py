"""Who may come in to have something hashed, and who is told to come back when."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from otp_service.clock import elapsed
from otp_service.errors import Refusal
from otp_service.hashing.recent import Longest, Recent
from otp_service.observability.metrics import HASH_QUEUE


class Rank(IntEnum):
    """Lower goes first."""

    CHECK = 0
    START = 1


MOST_CHECKS_PER_THREAD = 100
"""However fast hashes are: each place holds a request in memory."""
MOST_STARTS = 1000
"""In flight: each holds a connection to the gateway as well."""
BURST_SECONDS = {Rank.CHECK: 2.0, Rank.START: 3.0}
"""So much work may wait where there was no queue before."""
START_SECONDS = 8.0
"""A start is answered within ten: what the gateway takes of this is not there for waiting. The rest is for hashes
that take longer than it seemed, and for checks that come meanwhile."""
LEAST_START_SECONDS = 0.1
"""Of waiting, however long the gateway takes: without any, threads would wait for starts."""
GATEWAY_SECONDS = 60.0
"""So long a call counts that took the gateway long."""
STANDS_AFTER_SECONDS = 3.0
"""A queue that has not been short for longer than a burst takes is no burst."""
STANDING_SECONDS = 0.4
"""So much work may wait then: more only makes everybody late."""
CROWDED_SECONDS = 0.05
"""The same where more checks are refused than let in: whose place is free has it taken by another at once."""
QUIET_SECONDS = 0.3
"""In a crowd the queue is not short for so long: it has ended."""
CROWD_WINDOW_SECONDS = 1.0
"""Over this time the checks are counted that are let in, and those that are refused."""
LEAST_PLACES_PER_THREAD = 2
"""However slow hashes are: one is hashed, and the next is there when it is done."""
SHARED_FROM = 0.5
"""Of the places: below it nobody counts who has them."""
FOR_LATECOMERS = 1.25
"""Of the places of a burst: who has less than its share gets more although the others have taken all."""
START_OVERDUE_SECONDS = 2.2
"""A start that is as old as this takes turns with checks, which go first otherwise: its message is out already."""
GAP_SHARE = 0.9
"""Starts follow each other in so much of the time that hashing one takes: a little too fast, so that no thread waits.
How many are under way has the last word."""
LOAD_SECONDS = 4.0
"""Over this time it is averaged what checks ask for, let in or not."""
LEAST_FOR_STARTS = 0.1
"""Of the threads, whatever checks take."""
LONGEST_RETRY_SECONDS = 30.0
"""Who is told to come back later than that does not."""
WEIGHT = 1 / 16
"""Of the newest value in a moving average."""


@dataclass(eq=False)
class Ticket:
    """Who asks, and for what. `due`: from when on it takes turns with checks; `held`: it has a place; `hash_seconds`:
    of waiting for a thread and of the hash."""

    rank: Rank
    client: str
    due: float = math.inf
    held: bool = False
    hash_seconds: float = 0.0


class Admission:
    """For one event loop. `threads`: how many hashes run at once; `seconds`: how long one takes, to begin with.

    A check has its place until it is answered. A start has it until its hash is done: while it is at the gateway its
    hash is still to come. So starts are let in at the pace at which they can be hashed when they come back, and no more
    of them are under way than go through in the time that the gateway takes.
    """

    def __init__(self, threads: int, seconds: float) -> None:
        self.threads = threads
        self.most = {Rank.CHECK: threads * MOST_CHECKS_PER_THREAD, Rank.START: MOST_STARTS}
        self._taken: dict[Rank, Counter[str]] = {rank: Counter() for rank in Rank}
        self._starts_in_flight = 0
        self._away = 0
        self._seconds_away = 0.0
        self._longest_away = Longest(GATEWAY_SECONDS)
        self._seconds_per_hash = seconds
        self._seconds_beside = 0.0
        self._paced_until = elapsed()
        self._asked_by_checks = Recent(LOAD_SECONDS)
        self._let_in, self._refused = Recent(CROWD_WINDOW_SECONDS), Recent(CROWD_WINDOW_SECONDS)
        self._calm_at = self._short_since = elapsed()
        self._appointments = _Appointments()

    @contextmanager
    def place(self, ticket: Ticket) -> Iterator[Ticket]:
        """A place while the block runs, of a start until it is given back; Refusal `overloaded` where there is none."""
        self._look()
        if ticket.rank is Rank.CHECK and self._asked_by_checks.per_second() < self.threads:  # more they cannot take
            self._asked_by_checks.add(self._seconds_per_hash)
        seconds = self._most_seconds(ticket.rank)
        used = self._used(ticket.rank, seconds)
        if not self._has_room(ticket, used, seconds):
            if ticket.rank is Rank.CHECK and used >= 1:  # not where somebody's own share is taken
                self._refused.add(1)
            raise self._overloaded(ticket)
        self._taken[ticket.rank][ticket.client] += 1
        ticket.held = True
        begun, gap = elapsed(), 0.0
        if ticket.rank is Rank.CHECK:
            self._let_in.add(1)
        else:
            self._starts_in_flight += 1
            ticket.due = begun + START_OVERDUE_SECONDS
            gap = GAP_SHARE / self._starts_per_second()
            self._paced_until = max(self._paced_until, begun) + gap
        self._count()
        try:
            yield ticket
        finally:
            if ticket.held:  # the hash of a start never came, as where it was refused: another may have its time
                self._paced_until -= gap
            self.give_back(ticket)
            self._starts_in_flight -= ticket.rank is Rank.START
            if ticket.rank is Rank.CHECK and ticket.hash_seconds:
                self._seconds_beside += (elapsed() - begun - ticket.hash_seconds - self._seconds_beside) * WEIGHT

    def give_back(self, ticket: Ticket) -> None:
        """The ticket needs no place any more."""
        if ticket.held:
            ticket.held = False
            taken = self._taken[ticket.rank]
            taken[ticket.client] -= 1
            if not taken[ticket.client]:
                del taken[ticket.client]
            self._count()

    @contextmanager
    def away(self, ticket: Ticket) -> Iterator[None]:
        """The block waits for the gateway; a hash comes after it where the ticket still has its place."""
        if not ticket.held:
            yield
            return
        self._away += 1
        self._count()
        begun = elapsed()
        try:
            yield
        finally:
            seconds = elapsed() - begun
            self._seconds_away += (seconds - self._seconds_away) * WEIGHT
            self._longest_away.note(seconds)
            self._away -= 1
            self._count()

    def note(self, ticket: Ticket, waited: float, seconds: float) -> None:
        """How long it waited for a thread, and how long its hash took."""
        ticket.hash_seconds += waited + seconds
        self._seconds_per_hash += (seconds - self._seconds_per_hash) * WEIGHT

    def _here(self) -> int:
        """Checks, and starts that are not at the gateway."""
        return sum(taken.total() for taken in self._taken.values()) - self._away

    def _count(self) -> None:
        here = self._here()
        HASH_QUEUE.set(here)
        if here > self.threads:
            self._short_since = math.inf
        else:
            self._short_since = min(self._short_since, elapsed())

    def _used(self, rank: Rank, seconds: float) -> float:
        """Which share of the places of its rank is taken, where so much work may wait."""
        used = self._taken[rank].total() / self._places(rank, seconds)
        if rank is Rank.CHECK:
            return used
        return max(used, self._starts_in_flight / self.most[rank], self._ahead() / seconds)

    def _places(self, rank: Rank, seconds: float) -> float:
        """How many may be under way, where so much work may wait."""
        if rank is Rank.CHECK:
            return min(self._hashes(seconds), self.most[rank])
        places = (seconds + self._seconds_away) * self._starts_per_second()
        return min(max(LEAST_PLACES_PER_THREAD * self.threads, places), self.most[rank])

    def _hashes(self, seconds: float) -> float:
        """How many are made in so many seconds, or keep the threads busy."""
        return max(LEAST_PLACES_PER_THREAD * self.threads, seconds * self.threads / self._seconds_per_hash)

    def _ahead(self) -> float:
        """In how many seconds the starts are hashed that were let in, as they are paced."""
        return max(0.0, self._paced_until - elapsed())

    def _has_room(self, ticket: Ticket, used: float, seconds: float) -> bool:
        """Whether there is a place; `used`: which share of them is taken, where so many `seconds` of work may wait."""
        taken = self._taken[ticket.rank]
        # How many starts wait is nothing to checks, but starts wait for checks: then a client gets one in, no more.
        checks = self._taken[Rank.CHECK].total()
        if ticket.rank is Rank.START and checks >= self._hashes(seconds) and taken[ticket.client]:
            return False
        if used < SHARED_FROM:
            return True
        # Beyond that nobody takes the room of the others; the less somebody has, the further beyond all of it.
        share = max(1.0, self._places(ticket.rank, seconds) / len(taken | {ticket.client: 1}))
        missing = 1 - taken[ticket.client] / share
        most = 1 + (FOR_LATECOMERS - 1) * missing
        return missing > 0 and (used < 1 or self._used(ticket.rank, self._burst_seconds(ticket.rank)) < most)

    def _most_seconds(self, rank: Rank) -> float:
        """How much work may wait. Whoever waits for a commit has a place as well, and keeps no thread busy."""
        if not self._stands():
            return self._burst_seconds(rank)
        if self._is_crowded():
            return min(CROWDED_SECONDS + self._seconds_beside, STANDING_SECONDS)
        return min(STANDING_SECONDS + self._seconds_beside, self._burst_seconds(rank))

    def _burst_seconds(self, rank: Rank) -> float:
        if rank is Rank.CHECK:
            return BURST_SECONDS[rank]
        return min(BURST_SECONDS[rank], max(LEAST_START_SECONDS, START_SECONDS - self._longest_away.seconds()))

    def _is_crowded(self) -> bool:
        return self._refused.per_second() > max(1.0, self._let_in.per_second())

    def _look(self) -> None:
        """Notes what a short queue ends; in a crowd one that is short for a moment is no sign of an end."""
        now = elapsed()
        if now - self._short_since >= QUIET_SECONDS:
            self._refused.forget()
        if self._here() <= self.threads and not self._is_crowded():
            self._calm_at = now
            if not self._ahead():
                self._appointments.forget()  # who was to come has come, or does not

    def _stands(self) -> bool:
        return elapsed() - self._calm_at > STANDS_AFTER_SECONDS

    def _starts_per_second(self) -> float:
        """What checks leave."""
        threads = max(self.threads - self._asked_by_checks.per_second(), LEAST_FOR_STARTS * self.threads)
        return threads / self._seconds_per_hash

    def _overloaded(self, ticket: Ticket) -> Refusal:
        """`retry_after`: when what waits now is done, and those who were refused before have come back."""
        per_hash = self._seconds_per_hash / self.threads
        soonest = max(self._here() * per_hash, self._ahead() if ticket.rank is Rank.START else 0.0)
        wait = self._appointments.make(ticket, soonest, per_hash)
        return Refusal("overloaded", "Too much work at once; repeat the request later.", retry_after=wait)


class _Appointments:
    """When those who were refused come back: of each client one after the other, as fast as hashes are made.

    All at once they would only be refused again, and that costs processor time as well.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[Rank, str], float] = {}

    def forget(self) -> None:
        """Whoever is refused from now on need not wait for others."""
        self._last.clear()

    def make(self, ticket: Ticket, soonest: float, apart: float) -> float:
        """In how many seconds; at least `soonest`, and `apart` after the one before."""
        now, who = elapsed(), (ticket.rank, ticket.client)
        self._last = {each: at for each, at in self._last.items() if at > now}
        at = max(now + soonest, self._last.get(who, now) + apart)
        self._last[who] = min(at, now + LONGEST_RETRY_SECONDS)
        return self._last[who] - now
