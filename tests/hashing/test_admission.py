"""Who may come in: as many as are answered soon; starts as many as come back no faster than they can be hashed."""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from otp_service.errors import Refusal
from otp_service.hashing import admission, recent
from otp_service.hashing.admission import Admission, Rank, Ticket

FAST = 0.0001


class Time:
    """Time as the test lets it pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    for module in (admission, recent):
        monkeypatch.setattr(module, "elapsed", made)
    return made


@contextmanager
def held(made: Admission, rank: Rank, client: str, most: int = 10_000, *, away: bool = False) -> Iterator[int]:
    """As many places as the client gets, each `away` at the gateway before the next comes; how many they are."""
    with ExitStack() as stack:
        count = 0
        while count < most:
            try:
                ticket = stack.enter_context(made.place(Ticket(rank, client)))
            except Refusal:
                break
            if away:
                stack.enter_context(made.away(ticket))
            count += 1
        yield count


def refused(made: Admission, rank: Rank, client: str = "a") -> float:
    """The refusal's `retry_after`."""
    with pytest.raises(Refusal) as caught, made.place(Ticket(rank, client)):
        pass
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after is not None
    return caught.value.retry_after


def test_a_burst_of_checks_gets_two_seconds_of_work_and_no_more_than_a_hundred_per_thread() -> None:
    with held(Admission(2, 0.02), Rank.CHECK, "a") as count:
        assert count == pytest.approx(200, abs=1)
    with held(Admission(2, 0.1), Rank.CHECK, "a") as count:
        assert count == pytest.approx(40, abs=1)
    with held(Admission(2, FAST), Rank.CHECK, "a") as count:
        assert count == 200


def test_starts_leave_checks_their_places() -> None:
    made = Admission(2, 0.02)
    with held(made, Rank.START, "a") as starts, held(made, Rank.CHECK, "a") as checks:
        assert starts == pytest.approx(300, abs=1)
        assert checks == pytest.approx(200, abs=1)


def test_places_follow_how_long_hashes_take() -> None:
    made = Admission(2, 0.02)
    for _ in range(100):
        made.note(Ticket(Rank.CHECK, "a"), 0.0, 0.1)
    with held(made, Rank.CHECK, "a") as checks:
        assert checks == pytest.approx(40, abs=1)


def test_a_client_gets_no_more_than_one_start_in_where_enough_checks_are_waiting(time: Time) -> None:
    made = Admission(2, 0.02)
    with held(made, Rank.CHECK, "a", 70):
        time.now += admission.STANDS_AFTER_SECONDS / 2
        with held(made, Rank.START, "a", 50) as starts:
            assert starts == 50, "it may be a burst"
        time.now += admission.STANDS_AFTER_SECONDS
        with held(made, Rank.START, "a") as starts:
            assert starts == 1


def in_flight(made: Admission, time: Time, seconds: float, away: float) -> list[int]:
    """How many starts are in flight after each 10 ms, where as many come as are let in and each is `away` for so long.

    Their hashes are done at once.
    """
    waiting: deque[tuple[float, ExitStack]] = deque()
    counts = []
    while time.now < seconds:
        while waiting and waiting[0][0] <= time.now:
            waiting.popleft()[1].close()
        with suppress(Refusal):
            while True:
                stack = ExitStack()
                ticket = stack.enter_context(made.place(Ticket(Rank.START, "a")))
                stack.callback(made.give_back, ticket)
                stack.enter_context(made.away(ticket))
                waiting.append((time.now + away, stack))
        counts.append(len(waiting))
        time.now += 0.01
    for _, stack in waiting:
        stack.close()
    return counts


@pytest.mark.parametrize("away", [0.3, 6.0])
def test_as_many_starts_are_at_the_gateway_as_keep_the_threads_busy_when_they_come_back(
    time: Time, away: float
) -> None:
    counts = in_flight(Admission(2, 0.02), time, 20.0, away)
    assert counts[0] == 300, "a burst"
    assert counts[-1] == pytest.approx(100 * away / admission.GAP_SHARE, rel=0.1)


def test_what_checks_take_is_not_there_for_starts(time: Time) -> None:
    made = Admission(2, 0.02)
    for _ in range(1000):  # checks ask for one of the two threads
        time.now += 0.02
        with suppress(Refusal), made.place(Ticket(Rank.CHECK, "a")):
            pass
    with held(made, Rank.START, "a", away=True) as count:
        assert count == pytest.approx(150, rel=0.03)
    time.now += 60.0
    with held(made, Rank.START, "a", away=True) as count:
        assert count == pytest.approx(300, rel=0.03), "they have gone"


def test_what_is_refused_of_checks_is_not_there_for_starts_either(time: Time) -> None:
    made = Admission(2, 0.02)
    with held(made, Rank.CHECK, "a"):
        for _ in range(1000):
            time.now += 0.01
            refused(made, Rank.CHECK)
    with held(made, Rank.START, "a", away=True) as count:
        assert count < 50, "the checks are to come back"
    time.now += 6.0
    with held(made, Rank.START, "a", away=True) as count:
        assert count > 200, "they have gone"


@pytest.mark.parametrize(("longest", "least", "most"), [(5.0, 300, 340), (6.0, 200, 240), (9.0, 10, 100)])
def test_the_longer_the_gateway_takes_the_less_starts_may_wait(
    time: Time, longest: float, least: int, most: int
) -> None:
    made = Admission(2, 0.02)
    for seconds in (*(0.3,) * 100, longest):
        with made.place(Ticket(Rank.START, "a")) as ticket, made.away(ticket):
            time.now += seconds
    with held(made, Rank.START, "a") as count:
        assert least <= count <= most
    time.now += 600.0
    with held(made, Rank.START, "a") as count:
        assert count >= 300, "that was long ago"


def test_no_more_starts_are_under_way_than_go_through_while_the_gateway_works(time: Time) -> None:
    made = Admission(2, 0.02)
    for _ in range(100):
        with made.place(Ticket(Rank.START, "a")) as ticket, made.away(ticket):
            time.now += 2.0
    time.now += 10.0
    with ExitStack() as under_way:
        count = 0
        for _ in range(600):  # they do not come back
            time.now += 0.01
            with suppress(Refusal):
                under_way.enter_context(made.away(under_way.enter_context(made.place(Ticket(Rank.START, "a")))))
                count += 1
    assert count == pytest.approx((2.0 + admission.BURST_SECONDS[Rank.START]) * 100, rel=0.03)


def test_starts_whose_hash_came_first_are_in_flight_until_they_are_answered() -> None:
    made = Admission(2, 0.02)
    made.most[Rank.START] = 10
    with ExitStack() as in_flight:
        for _ in range(10):
            ticket = in_flight.enter_context(made.place(Ticket(Rank.START, "a")))
            made.give_back(ticket)
        with held(made, Rank.START, "b") as latecomers:
            assert latecomers <= 3


def test_a_start_keeps_its_place_until_its_hash_is_done() -> None:
    made = Admission(2, 0.02)
    made.most[Rank.START] = 1
    with made.place(Ticket(Rank.START, "a")) as ticket:
        with made.away(ticket):
            refused(made, Rank.START)
        refused(made, Rank.START)
        made.give_back(ticket)
        with held(made, Rank.START, "a") as count:
            assert count == 1
            with made.away(ticket):  # another route, after its hash: no hash is to come
                refused(made, Rank.START)
    with held(made, Rank.START, "a") as count:
        assert count == 1, "nothing was given back twice"


def test_memory_bounds_the_starts_in_flight() -> None:
    with held(Admission(2, FAST), Rank.START, "a", away=True) as count:
        assert count == admission.MOST_STARTS


def test_starts_at_the_gateway_refuse_no_check(time: Time) -> None:
    made = Admission(2, 0.02)
    with held(made, Rank.START, "a", away=True) as starts:
        time.now += 6.0
        with held(made, Rank.CHECK, "a") as checks:
            assert starts >= 300
            assert checks == pytest.approx(200, abs=1)


@pytest.mark.parametrize(("rank", "burst"), [(Rank.CHECK, 200), (Rank.START, 300)])
def test_a_queue_that_does_not_empty_lets_fewer_in_until_it_is_calm(time: Time, rank: Rank, burst: int) -> None:
    made = Admission(2, 0.02)
    with held(made, rank, "a", 150):
        time.now += admission.STANDS_AFTER_SECONDS / 2
        with held(made, rank, "a", 20) as count:
            assert count == 20, "a burst may be followed by some more"
        time.now += admission.STANDS_AFTER_SECONDS
        assert refused(made, rank) == pytest.approx(150 * 0.02 / 2, abs=1)
    time.now += 3.0
    with held(made, rank, "a") as count:
        assert count == pytest.approx(burst, abs=1), "calm again"


def crowd(made: Admission, time: Time) -> None:
    """Checks wait for long, and most of those who come are refused."""
    with held(made, Rank.CHECK, "a", 150):
        time.now += 2 * admission.STANDS_AFTER_SECONDS
        for _ in range(500):
            refused(made, Rank.CHECK)


def test_in_a_crowd_few_checks_are_let_in_although_the_queue_is_empty_for_a_moment(time: Time) -> None:
    made = Admission(2, 0.02)
    crowd(made, time)
    for _ in range(2):
        with held(made, Rank.CHECK, "a") as checks, held(made, Rank.START, "a") as starts:
            assert checks == pytest.approx(admission.CROWDED_SECONDS * 2 / 0.02, abs=1)
            assert starts <= 1, "no more than a newcomer: checks go first"
    time.now += 30.0
    with held(made, Rank.START, "a") as count:
        assert count == pytest.approx(300, abs=1), "nobody is refused any more"
    time.now += 10.0
    with held(made, Rank.CHECK, "a") as count:
        assert count == pytest.approx(200, abs=1)


def test_a_crowd_has_ended_when_the_queue_was_short_for_a_moment_although_more_come_at_once(time: Time) -> None:
    made = Admission(2, 0.02)
    crowd(made, time)
    time.now += admission.QUIET_SECONDS / 2
    with held(made, Rank.CHECK, "a") as few:
        assert few < 10
    time.now += 1.1 * admission.QUIET_SECONDS
    with held(made, Rank.CHECK, "a") as count:
        assert count == pytest.approx(200, abs=1)


def test_in_a_crowd_there_is_room_for_those_who_wait_for_a_commit(time: Time) -> None:
    made = Admission(2, 0.02)
    for _ in range(200):
        ticket = Ticket(Rank.CHECK, "a")
        with made.place(ticket):
            made.note(ticket, waited=0.05, seconds=0.02)
            time.now += 0.05 + 0.02 + 0.1
    crowd(made, time)
    with held(made, Rank.CHECK, "a") as count:
        assert count == pytest.approx((admission.CROWDED_SECONDS + 0.1) * 2 / 0.02, abs=1)


def test_in_a_crowd_a_quiet_client_gets_its_share_beside_loud_ones(time: Time) -> None:
    made = Admission(2, 0.02)
    crowd(made, time)
    with ExitStack() as loud:
        for client in ("loud", "louder") * 10:
            with suppress(Refusal):
                loud.enter_context(made.place(Ticket(Rank.CHECK, client)))
        refused(made, Rank.CHECK, "loud")
        refused(made, Rank.CHECK, "louder")
        with held(made, Rank.CHECK, "quiet") as count:
            assert count == 2


def test_a_client_that_has_nothing_gets_a_check_in_while_a_long_queue_is_worked_off(time: Time) -> None:
    made = Admission(2, 0.02)
    with held(made, Rank.CHECK, "loud", 190):
        time.now += 2 * admission.STANDS_AFTER_SECONDS
        refused(made, Rank.CHECK, "loud")
        with held(made, Rank.CHECK, "quiet") as count:
            assert count > 1


def test_one_client_that_takes_no_end_makes_no_crowd_for_the_others(time: Time) -> None:
    made = Admission(2, 0.02)
    with held(made, Rank.CHECK, "quiet", 10):
        time.now += 2 * admission.STANDS_AFTER_SECONDS
        with held(made, Rank.CHECK, "loud") as loud:
            for _ in range(500):
                refused(made, Rank.CHECK, "loud")
            with held(made, Rank.CHECK, "quiet") as more:
                assert 10 + more == pytest.approx(loud, abs=2)


def test_who_is_refused_comes_back_after_those_who_were_refused_before_as_fast_as_hashes_are_made(time: Time) -> None:
    made = Admission(2, 0.02)
    with held(made, Rank.START, "a"):
        waits = [refused(made, Rank.START) for _ in range(1000)]
        assert waits == sorted(waits)
        assert waits[0] == pytest.approx(3, abs=1)
        assert waits[-1] == pytest.approx(waits[0] + 1000 / 100, abs=1)
        with held(made, Rank.START, "b") as newcomers:
            assert newcomers > 1
            assert refused(made, Rank.START, "b") < waits[0] + 1, "of each client for itself"
        assert max(refused(made, Rank.START) for _ in range(10_000)) == admission.LONGEST_RETRY_SECONDS
    time.now += admission.BURST_SECONDS[Rank.START]
    with held(made, Rank.START, "a"):
        assert refused(made, Rank.START) <= waits[0], "when it is calm nobody waits for those who did not come back"


@pytest.mark.parametrize(("rank", "half"), [(Rank.CHECK, 100), (Rank.START, 150)])
def test_beyond_half_nobody_takes_the_room_of_the_others(rank: Rank, half: float) -> None:
    made = Admission(2, 0.02)
    away = rank is Rank.START
    with held(made, rank, "quiet", 1, away=away), held(made, rank, "loud", away=away) as loud:
        assert loud == pytest.approx(half, abs=2)
        with held(made, rank, "quiet", away=away) as quiet:
            assert quiet == pytest.approx(half - 1, abs=2)


def test_starts_that_are_refused_before_their_hash_take_nothing_from_others() -> None:
    made = Admission(2, 0.02)
    for _ in range(5_000):
        with made.place(Ticket(Rank.START, "loops")):
            pass
    with held(made, Rank.START, "other", away=True) as count:
        assert count == 300


@pytest.mark.parametrize(("rank", "latecomers"), [(Rank.CHECK, 33), (Rank.START, 50)])
def test_who_has_less_than_its_share_gets_more_although_another_has_taken_all(rank: Rank, latecomers: int) -> None:
    made = Admission(2, 0.02)
    with held(made, rank, "loud"), held(made, rank, "quiet") as count:
        assert count == pytest.approx(latecomers, abs=1)
        refused(made, rank, "loud")
