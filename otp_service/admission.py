"""Who may come in to have something hashed, and who is told to come back when."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from otp_service.clock import elapsed
from otp_service.errors import Refusal
from otp_service.metrics import HASH_QUEUE


class Rank(IntEnum):
    """Lower goes first."""

    CHECK = 0
    START = 1


MOST_CHECKS_PER_THREAD = 100
MOST_STARTS = 1000
"""However fast hashes are: each place holds a request in memory, and a start a connection to the gateway as well."""
BURST_SECONDS = {Rank.CHECK: 2.0, Rank.START: 3.0}
"""What comes at once may wait so long for its turn; a start is answered within ten, also after six at the gateway."""
STANDING_SECONDS = 0.4
"""What comes when there has been a queue for longer than PATIENCE_SECONDS may wait no longer than this: one that does
not empty only makes everybody late."""
CROWDED_SECONDS = 0.05
"""The same where more checks are refused than let in: whose turn is over is followed by another at once."""
QUIET_SECONDS = 0.3
"""In a crowd the queue is not short for so long: it has ended."""
PATIENCE_SECONDS = 3.0
START_SECONDS = 2.2
"""A start that is as old as this goes before checks: its message is out already, and there are no more of them than
checks leave room for."""
LONGEST_RETRY_SECONDS = 30.0
LOAD_SECONDS = 4.0
"""Over this time the load by checks is averaged."""
CROWD_WINDOW_SECONDS = 1.0
"""Over this time the checks are counted that are let in, and those that are refused."""
LEAST_FOR_STARTS = 0.1
"""Of the threads, whatever checks take."""
FOR_LATECOMERS = 1.25
"""Of the places of a burst: who has less than its share gets more although the others have taken all."""
PACE = 0.9
"""Starts are let in a little faster than they can be hashed: what waits here in the end has the last word."""


@dataclass(eq=False)
class Turn:
    """Who asks, and for what. `due`: when it goes before everybody; `held`: it has a place; `hashing`: seconds of
    waiting for a thread and of the hash."""

    rank: Rank
    client: str
    due: float = math.inf
    held: bool = False
    hashing: float = 0.0


OURS = Turn(Rank.CHECK, "")
"""Of the service itself."""


class Admission:
    """For one event loop. `threads`: how many hashes run at once; `seconds`: how long one takes, to begin with.

    A check has its place until it is answered. A start has it until its hash is done: while it is at the gateway its
    hash is still to come. So starts are let in at the pace at which they can be hashed when they come back.
    """

    def __init__(self, threads: int, seconds: float) -> None:
        self.threads = threads
        self.most = {Rank.CHECK: threads * MOST_CHECKS_PER_THREAD, Rank.START: MOST_STARTS}
        self._taken: dict[Rank, Counter[str]] = {rank: Counter() for rank in Rank}
        self._away = 0
        self._seconds_per_hash = seconds
        self._seconds_beside = 0.0
        self._paced_until = elapsed()
        self._busy_with_checks = _Recent(LOAD_SECONDS)
        self._let_in, self._refused = _Recent(CROWD_WINDOW_SECONDS), _Recent(CROWD_WINDOW_SECONDS)
        self._calm_at = self._short_since = elapsed()
        self._appointments = _Appointments()

    @contextmanager
    def place(self, turn: Turn) -> Iterator[Turn]:
        """A place while the block runs, of a start until it is given back; Refusal `overloaded` where there is none."""
        used = self._used(turn.rank, self._most_seconds(turn.rank))
        if not self._has_room(turn, used):
            if turn.rank is Rank.CHECK and used >= 1:  # not where somebody's own share is taken
                self._refused.add(1)
            raise self._overloaded(turn)
        self._taken[turn.rank][turn.client] += 1
        turn.held = True
        begun, pause = elapsed(), 0.0
        if turn.rank is Rank.CHECK:
            self._let_in.add(1)
        else:
            turn.due = begun + START_SECONDS
            pause = PACE / self._starts_per_second()
            self._paced_until = max(self._paced_until, begun) + pause
        self._count()
        try:
            yield turn
        finally:
            if turn.held:  # nothing was hashed, as where it was refused: others may come in its place
                self._paced_until -= pause
            self.give_back(turn)
            if turn.rank is Rank.CHECK and turn.hashing:
                self._seconds_beside += (elapsed() - begun - turn.hashing - self._seconds_beside) / 16

    def give_back(self, turn: Turn) -> None:
        """The turn needs no place any more."""
        if turn.held:
            turn.held = False
            taken = self._taken[turn.rank]
            taken[turn.client] -= 1
            if not taken[turn.client]:
                del taken[turn.client]
            self._count()

    @contextmanager
    def away(self, turn: Turn) -> Iterator[None]:
        """The block waits for the gateway; a hash comes after it where the turn still has its place."""
        if not turn.held:
            yield
            return
        self._away += 1
        self._count()
        try:
            yield
        finally:
            self._away -= 1
            self._count()

    def note(self, turn: Turn, waited: float, seconds: float) -> None:
        """How long the turn waited for a thread, and how long its hash took."""
        turn.hashing += waited + seconds
        self._seconds_per_hash += (seconds - self._seconds_per_hash) / 16
        if turn.rank is Rank.CHECK:
            self._busy_with_checks.add(seconds)

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
        """Which share of the places is taken, where so much work may wait. Checks go first: how many starts wait is
        nothing to them."""
        places = max(2.0 * self.threads, seconds * self.threads / self._seconds_per_hash)
        total = self._taken[rank].total()
        if rank is Rank.CHECK:
            return total / min(places, self.most[rank])
        ahead = max(0.0, self._paced_until - elapsed())
        return max(total / self.most[rank], ahead / seconds, self._here() / places)

    def _has_room(self, turn: Turn, used: float) -> bool:
        """Whether there is a place; `used`: which share of them is taken."""
        if used < 0.5:
            return True
        # Beyond half of it, nobody takes the room of the others; the less somebody has, the further beyond all of it.
        taken = self._taken[turn.rank]
        share = max(1.0, taken.total() / used / len(taken | {turn.client: 1}))
        missing = 1 - taken[turn.client] / share
        most = 1 + (FOR_LATECOMERS - 1) * missing
        return missing > 0 and (used < 1 or self._used(turn.rank, BURST_SECONDS[turn.rank]) < most)

    def _most_seconds(self, rank: Rank) -> float:
        """How much work may wait."""
        if not self._stands():
            return BURST_SECONDS[rank]
        if not self._is_crowded():
            return STANDING_SECONDS
        # Whoever waits for a commit has a place as well, and keeps no thread busy.
        return min(CROWDED_SECONDS + self._seconds_beside, STANDING_SECONDS)

    def _is_crowded(self) -> bool:
        return self._refused.per_second() > max(1.0, self._let_in.per_second())

    def _stands(self) -> bool:
        """Whether there has been a queue for long; in a crowd one that is short for a moment is no sign of an end."""
        now = elapsed()
        if now - self._short_since >= QUIET_SECONDS:
            self._refused.forget()
        if self._here() <= self.threads and not self._is_crowded():
            self._calm_at = now
            self._appointments.forget()  # who was to come has come, or does not
        return now - self._calm_at > PATIENCE_SECONDS

    def _starts_per_second(self) -> float:
        """What checks leave."""
        threads = max(self.threads - self._busy_with_checks.per_second(), LEAST_FOR_STARTS * self.threads)
        return threads / self._seconds_per_hash

    def _overloaded(self, turn: Turn) -> Refusal:
        """`retry_after`: when what waits now is done, and those who were refused before have come back."""
        pause = self._seconds_per_hash / self.threads
        wait = max(1, math.ceil(self._appointments.make(turn, self._here() * pause, pause)))
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

    def make(self, turn: Turn, soonest: float, pause: float) -> float:
        """In how many seconds; at least `soonest`, and `pause` after the one before."""
        now, who = elapsed(), (turn.rank, turn.client)
        self._last = {each: at for each, at in self._last.items() if at > now}
        at = max(now + soonest, self._last.get(who, now) + pause)
        self._last[who] = min(at, now + LONGEST_RETRY_SECONDS)
        return self._last[who] - now


class _Recent:
    """How much of something there is per second, averaged over the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._value = 0.0
        self._at = elapsed()

    def add(self, amount: float) -> None:
        """There was so much of it just now."""
        self._value = self.per_second() + amount / self._seconds

    def forget(self) -> None:
        """There was none."""
        self._value = 0.0

    def per_second(self) -> float:
        """As of now."""
        now = elapsed()
        self._value *= math.exp((self._at - now) / self._seconds)
        self._at = now
        return self._value
