"""What the rules of the guard stop, and what they leave alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.guard.keys import Kind, keys_of
from otp_service.guard.rows import Row, copied
from otp_service.guard.rules import RULES, decide
from tests.guard.guards import DAY, HOUR, NOON, Guard, burst, message, scattered, usual_days


def test_nothing_speaks_against_a_first_message() -> None:
    decision = decide(message(NOON), {})
    assert (decision.reasons, decision.blocked) == ((), False)


def test_a_burst_to_one_block_is_stopped_after_five() -> None:
    guard = Guard()
    assert sum(map(guard.send, burst(100))) == 5


def test_the_reason_names_the_rule_the_row_what_it_saw_and_the_limit() -> None:
    guard = Guard()
    *_, last = map(guard.decide, burst(6))
    (reason,) = last.reasons
    assert (reason.rule, reason.key.kind, reason.limit) == ("prefix", Kind.BLOCK, 5.0)
    assert reason.seen == pytest.approx(6.0, abs=0.01)


def test_strictness_divides_the_limits() -> None:
    guard = Guard()
    for request in burst(5):
        guard.send(request)
    next_one = message(NOON + 5, "+573005559999")
    decisions = [decide(next_one, guard.rows, strictness) for strictness in (0.5, 0.9, 1.0)]
    assert [[reason.limit for reason in decision.reasons] for decision in decisions] == [[], [5 / 0.9], [5.0]]


def test_a_rule_that_is_off_gives_no_reason() -> None:
    guard = Guard()
    assert not any(guard.decide(request, off=frozenset(RULES)).blocked for request in burst(300))
    decision = guard.decide(message(NOON + 300, address="192.0.2.1"), off=frozenset({"prefix"}))
    assert {reason.rule for reason in decision.reasons} == {"client", "country"}


def test_many_blocks_of_a_country_are_stopped_together() -> None:
    guard = Guard()
    assert sum(map(guard.send, scattered(500))) <= 16


def test_many_countries_are_stopped_together() -> None:
    guard = Guard()
    places = (
        message(NOON + index, f"+9{index:03d}5550000", country=f"{chr(65 + index % 26)}{chr(65 + index // 26)}")
        for index in range(300)
    )
    assert sum(map(guard.send, places)) <= 17


def test_one_client_does_not_use_up_the_limits_of_another() -> None:
    guard = Guard()
    for request in scattered(500):
        guard.send(request)
    assert guard.send(message(NOON + 600, "+573999995550", client="bank"))


def test_an_address_without_answers_is_stopped() -> None:
    guard = Guard()
    usual_days(guard, 3, 200)
    asked = (message(NOON + index, f"+57310{index % 20:03d}77{index:02d}", address="192.0.2.1") for index in range(20))
    assert sum(map(guard.send, asked)) == 8


def test_a_person_who_never_answers_is_stopped() -> None:
    guard = Guard()
    assert sum(guard.send(message(NOON + 30 * index)) for index in range(20)) == 5


def test_a_known_person_passes_while_the_block_is_stopped() -> None:
    guard = Guard()
    guard.converse(message(NOON - DAY, "+573005559999", subject="ana"))
    for request in burst(100):
        guard.send(request)
    assert guard.send(message(NOON + 200, "+573005559999", subject="ana"))
    assert not guard.send(message(NOON + 201, "+573005559999", subject="eve"))
    assert not guard.send(message(NOON + 202, "+573005559998"))


def test_somebody_approved_today_is_not_known_yet() -> None:
    guard = Guard()
    guard.converse(message(NOON - HOUR, "+573005559999"))
    for request in burst(100):
        guard.send(request)
    assert not guard.send(message(NOON + 200, "+573005559999"))


def test_a_known_person_with_unanswered_messages_is_treated_like_anybody() -> None:
    guard = Guard()
    guard.converse(message(NOON - DAY, "+573005559999"))
    for request in burst(100):
        guard.send(request)
    asked = [guard.send(message(NOON + 200 + index, "+573005559999")) for index in range(10)]
    assert asked == [True] * 4 + [False] * 6


def test_answered_messages_beyond_the_volume_of_other_days_are_stopped() -> None:
    guard = Guard()
    usual_days(guard, 14, 60)
    sent = sum(map(guard.converse, scattered(3000)))
    assert 120 <= sent <= 160


def test_volume_is_not_judged_in_the_first_week() -> None:
    guard = Guard()
    usual_days(guard, 3, 60)
    assert all(map(guard.converse, scattered(1000)))


def test_a_block_that_is_used_as_usual_is_spared_while_the_volume_is_too_high() -> None:
    guard = Guard()
    usual_days(guard, 14, 60)
    for request in scattered(3000):
        guard.converse(request)
    assert not guard.send(message(NOON + 3001, "+573209995550"))
    assert guard.send(message(NOON + 3002, "+573100079999"))


def test_the_first_message_of_a_day_is_spared_where_somebody_was_approved() -> None:
    guard = Guard()
    guard.converse(message(NOON - 15 * DAY, "+573209991111"))
    usual_days(guard, 14, 60)
    for request in scattered(3000):
        guard.converse(request)
    asked = [guard.send(message(NOON + 3001 + index, f"+57320999{index:04d}")) for index in range(3)]
    assert asked == [True, False, False]


def test_an_outage_stops_nobody() -> None:
    guard = Guard()
    usual_days(guard, 3, 200)
    known = (message(NOON + index, f"+57310{index % 20:03d}{(200 + index) * 7 % 10_000:04d}") for index in range(20))
    assert all(map(guard.send, known))
    assert all(
        guard.send(message(NOON + 60 + 120 * index, f"+57310{index % 20:03d}88{index:02d}")) for index in range(40)
    )


@given(st.floats(0, 1e9), st.floats(0, 40), st.sampled_from(sorted(Kind)))
def test_deciding_changes_no_row(at: float, debt: float, kind: Kind) -> None:
    request = message(at, address="192.0.2.1")
    rows = {key: Row(touched=at / 2 + 1, debt=debt if key.kind == kind else 0.0) for key in keys_of(request)}
    before = {key: copied(row) for key, row in rows.items()}
    decide(request, rows)
    assert rows == before
