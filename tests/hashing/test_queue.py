"""Who is admitted to the hash queue, and whose hash is next; all times are simulated."""

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from threading import Thread

import pytest

from otp_service.errors import Refusal
from otp_service.hashing.queue import MOST_IN_FLIGHT, HashQueue, Kind, Ticket
from tests.hashing.simulation import HASH_SECONDS, THREADS, Stream, simulate

CHECK, START = Kind.CHECK, Kind.START
FAST = 0.0001


def queue(seconds: float = HASH_SECONDS) -> HashQueue:
    """One without threads."""
    return HashQueue(THREADS, seconds)


@contextmanager
def admitted(
    made: HashQueue, kind: Kind, client: str = "a", most: int = 10_000, *, gateway: bool = False
) -> Iterator[int]:
    """Admits requests of a client until one is refused; how many they are. `gateway`: it holds all of them."""
    with ExitStack() as stack:
        for count in range(most):
            ticket = Ticket(kind, client)
            try:
                stack.enter_context(made.admit(ticket))
            except Refusal:
                yield count
                return
            if gateway:
                stack.enter_context(made.at_gateway(ticket))
        yield most


def retry_after(made: HashQueue, kind: Kind, client: str = "a") -> float:
    with pytest.raises(Refusal) as caught, made.admit(Ticket(kind, client)):
        pass
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after is not None
    return caught.value.retry_after


@pytest.mark.parametrize(("kind", "seconds"), [(CHECK, 2.0), (START, 3.0)])
@pytest.mark.parametrize("per_hash", [0.02, 0.1])
def test_as_many_are_admitted_as_can_be_hashed_in_time(kind: Kind, seconds: float, per_hash: float) -> None:
    with admitted(queue(per_hash), kind) as count:
        assert count == pytest.approx(seconds * THREADS / per_hash, abs=1)


@pytest.mark.parametrize("kind", Kind)
def test_a_free_thread_refuses_nobody_however_slow_hashes_are(kind: Kind) -> None:
    with admitted(queue(60.0), kind) as count:
        assert count == THREADS


@pytest.mark.parametrize("kind", Kind)
def test_a_refused_request_retries_after_the_present_wait_and_up_to_as_much_again(kind: Kind) -> None:
    made = queue()
    with admitted(made, kind):
        waits = [retry_after(made, kind) for _ in range(500)]
    longest = {CHECK: 2.0, START: 3.0}[kind]
    assert min(waits) == pytest.approx(longest, rel=0.05)
    assert max(waits) == pytest.approx(2 * longest, rel=0.05)


def test_starts_delay_a_check_by_every_fourth_hash_alone() -> None:
    made = queue()
    with admitted(made, START), admitted(made, CHECK) as checks:
        assert checks == pytest.approx(150, abs=2)


def test_checks_that_wait_leave_room_for_fewer_starts() -> None:
    made = queue()
    with admitted(made, CHECK, most=150), admitted(made, START) as starts:
        assert starts == pytest.approx(150, abs=2)


def test_no_more_than_a_thousand_starts_are_in_flight() -> None:
    with admitted(queue(), START, gateway=True) as count:
        assert count == MOST_IN_FLIGHT
    with admitted(queue(FAST), START) as count:
        assert count == MOST_IN_FLIGHT


def test_a_start_that_the_gateway_holds_delays_nobody() -> None:
    made = queue()
    with admitted(made, START, most=900, gateway=True), admitted(made, CHECK) as checks:
        assert checks == pytest.approx(200, abs=1)


def test_starts_in_flight_take_no_place_from_checks_of_the_same_client() -> None:
    made = queue()
    with (
        admitted(made, START, "b", most=1, gateway=True),
        admitted(made, START, most=600, gateway=True),
        admitted(made, CHECK) as checks,
    ):
        assert checks == pytest.approx(200, abs=1)


def test_a_start_counts_again_when_it_comes_back_from_the_gateway() -> None:
    made = queue(60.0)
    tickets = [Ticket(START, "a") for _ in range(THREADS)]
    with ExitStack() as stack:
        for ticket in tickets:
            stack.enter_context(made.admit(ticket))
            with made.at_gateway(ticket):
                pass
        assert retry_after(made, START)


@pytest.mark.parametrize("gateway", [True, False])
@pytest.mark.parametrize("kind", Kind)
def test_once_half_the_places_are_taken_nobody_has_more_than_its_share(kind: Kind, gateway: bool) -> None:
    made = queue()
    gateway = gateway and kind is START
    places = MOST_IN_FLIGHT if gateway else {CHECK: 200, START: 300}[kind]
    with admitted(made, kind, "quiet", 1, gateway=gateway), admitted(made, kind, "loud", gateway=gateway) as loud:
        assert loud == pytest.approx(places / 2, abs=1)
        with admitted(made, kind, "quiet", gateway=gateway) as quiet:
            assert quiet == pytest.approx(places / 2 - 1, abs=1)


@pytest.mark.parametrize("kind", Kind)
def test_a_client_that_has_less_than_its_share_is_admitted_although_another_took_all_places(kind: Kind) -> None:
    made = queue()
    with admitted(made, kind, "loud") as loud, admitted(made, kind, "late") as late:
        assert late == pytest.approx(loud / 2, abs=1)
        retry_after(made, kind, "loud")


def test_a_client_without_a_start_in_flight_gets_one_although_another_has_a_thousand() -> None:
    made = queue()
    with admitted(made, START, "loud", gateway=True), admitted(made, START, "late", gateway=True) as late:
        assert late == 1


def test_a_request_that_ended_before_its_hash_takes_nothing_from_others() -> None:
    made = queue()
    for _ in range(5000):
        with made.admit(Ticket(START, "a")):
            pass
    with admitted(made, START, "b") as count:
        assert count == pytest.approx(300, abs=1)


async def order(asked: list[Ticket]) -> list[Ticket]:
    """In which order the hashes of these tickets run."""
    made, done = queue(), list[Ticket]()
    tasks = [asyncio.create_task(made.run(ticket, lambda ticket=ticket: done.append(ticket))) for ticket in asked]  # type: ignore[misc]
    await asyncio.sleep(0)
    while (job := made.pop()) is not None:
        job[1].set_result(job[0]())
    await asyncio.gather(*tasks)
    return done


async def test_checks_go_first_but_every_fourth_hash_is_a_starts() -> None:
    asked = [Ticket(START, "a") for _ in range(3)] + [Ticket(CHECK, "a") for _ in range(7)]
    kinds = [ticket.kind for ticket in await order(asked)]
    assert kinds == [CHECK, CHECK, CHECK, START, CHECK, CHECK, CHECK, START, CHECK, START]


@pytest.mark.parametrize("kind", Kind)
async def test_clients_take_turns(kind: Kind) -> None:
    asked = [Ticket(kind, client) for client in "aaabbc"]
    assert [ticket.client for ticket in await order(asked)] == ["a", "b", "c", "a", "b", "a"]


@pytest.fixture
def running() -> Iterator[HashQueue]:
    """A queue with threads, in which a hash takes a simulated second."""
    made = HashQueue(1, 0.02, itertools.count().__next__)
    thread = Thread(target=made.run_jobs)
    thread.start()
    yield made
    made.close()
    thread.join()


async def test_places_follow_how_long_hashes_take(running: HashQueue) -> None:
    for _ in range(100):
        await running.run(Ticket(CHECK, "a"), lambda: None)
    with admitted(running, CHECK) as count:
        assert count == pytest.approx(2, abs=1)


async def test_an_error_of_the_work_reaches_its_caller_and_the_thread_goes_on(running: HashQueue) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await running.run(Ticket(CHECK, "a"), fail)
    assert await running.run(Ticket(CHECK, "a"), lambda: 1) == 1


async def test_work_is_not_run_for_a_caller_that_gave_up(running: HashQueue) -> None:
    hold, ran = Future[None](), list[str]()
    first = asyncio.create_task(running.run(Ticket(CHECK, "a"), lambda: hold.result()))
    gone = asyncio.create_task(running.run(Ticket(CHECK, "a"), lambda: ran.append("gone")))
    last = asyncio.create_task(running.run(Ticket(CHECK, "a"), lambda: ran.append("last")))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    hold.set_result(None)
    await asyncio.gather(first, last)
    assert ran == ["last"]


@pytest.mark.parametrize("callers", [pytest.param(64, marks=pytest.mark.long), 100])
@pytest.mark.parametrize("kind", Kind)
def test_callers_that_repeat_at_once_are_not_refused(kind: Kind, callers: int) -> None:
    (result,) = simulate(Stream(kind, callers=callers))
    assert result.refused == 0
    assert max(result.seconds) < 1.5


@pytest.mark.parametrize("gateway", [pytest.param(0.02, marks=pytest.mark.long), 0.3])
def test_at_many_times_the_load_what_is_admitted_is_done_in_time(gateway: float) -> None:
    checks, starts = simulate(Stream(CHECK, rate=500), Stream(START, rate=250, gateway=gateway))
    assert max(checks.seconds) < 3
    assert max(starts.seconds) < 10
    assert len(checks.seconds) == pytest.approx(0.75 * 100 * 15, rel=0.2)
    assert len(starts.seconds) == pytest.approx(0.25 * 100 * 15, rel=0.4)


def test_a_flood_of_starts_delays_no_check() -> None:
    starts, checks = simulate(Stream(START, rate=250, gateway=2.0), Stream(CHECK, "b", rate=30, begins=5))
    assert checks.refused == 0
    assert max(checks.seconds) < 0.5
    assert len(starts.seconds) > 0.9 * 70 * 13, "the threads are busy"


@pytest.mark.parametrize("kind", [CHECK, pytest.param(START, marks=pytest.mark.long)])
def test_a_quiet_client_is_served_beside_loud_ones(kind: Kind) -> None:
    loud = [Stream(kind, f"loud {number}", rate=50) for number in range(10)]
    *_, quiet = simulate(*loud, Stream(kind, "quiet", rate=2, begins=3))
    assert quiet.refused == 0
    assert max(quiet.seconds) < 1.0


@pytest.mark.parametrize(("kind", "bound"), [(CHECK, 4.0), pytest.param(START, 6.0, marks=pytest.mark.long)])
def test_later_clients_do_not_overtake_for_ever_what_is_admitted(kind: Kind, bound: float) -> None:
    crowd = [Stream(kind, f"late {number}", rate=1.5, begins=0.2, gateway=0.02) for number in range(200)]
    first, *_ = simulate(Stream(kind, "first", rate=400, ends=1, gateway=0.02), *crowd)
    assert len(first.seconds) > 50
    assert max(first.seconds) < bound


def test_slow_commits_are_no_overload() -> None:
    (checks,) = simulate(Stream(CHECK, rate=60, commit=0.5))
    assert checks.refused == 0
