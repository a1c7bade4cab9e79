"""How the guard's rows change."""

import math
from dataclasses import astuple, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.guard import counting, limits, usual
from otp_service.guard.keys import Key, Kind, keys_of
from otp_service.guard.rows import Row, copied
from tests.guard.guards import DAY, HOUR, NOON, Guard, burst, message, scattered, usual_days


def test_a_request_touches_at_most_eleven_rows_in_one_order() -> None:
    keys = keys_of(message(NOON, address="192.0.2.1"))
    assert len(set(keys)) == len(keys) <= 11
    assert [key.kind for key in keys_of(message(NOON))] == [key.kind for key in keys[:-1]]


def test_short_numbers_of_two_countries_share_no_row_of_a_range() -> None:
    one, other = (keys_of(message(NOON, "+2901234", country=country)) for country in ("SH", "TA"))
    assert {key for key in one if key.digits and key.kind != Kind.PERSON}.isdisjoint(other)


def test_a_key_shows_no_number_and_no_address() -> None:
    shown = repr(keys_of(message(NOON, address="192.0.2.1", subject="ana")))
    assert not [secret for secret in ("+57300", "192.0.2.1", "ana") if secret in shown]
    assert "+57300" not in repr(message(NOON))


def test_all_fields_of_a_row_are_floats_that_begin_at_zero() -> None:
    assert {field.type for field in fields(Row)} <= {float, "float"}
    assert set(astuple(Row())) == {0.0}


def test_approvals_pay_back() -> None:
    guard = Guard()
    assert all(map(guard.converse, burst(100)))
    assert guard.row(message(NOON), Kind.BLOCK).debt == 0


def test_an_approval_needs_only_the_kinds_of_the_keys() -> None:
    guard, request = Guard(), message(NOON, address="192.0.2.1")
    guard.send(request)
    found = {key: guard.rows[key] for key in keys_of(request)}
    bare = {Key(key.kind): row for key, row in found.items()}
    expected = {key.kind: row for key, row in counting.approved(NOON + 20, found).items()}
    assert {key.kind: row for key, row in counting.approved(NOON + 20, bare).items()} == expected


def test_an_approval_without_rows_changes_nothing() -> None:
    assert counting.approved(NOON, {}) == {}


def test_a_debt_leaks_away() -> None:
    guard = Guard()
    for request in burst(5):
        guard.send(request)
    assert not guard.send(message(NOON + 60, "+573005559999"))
    assert guard.send(message(NOON + limits.LEAK, "+573005559999"))


def test_a_repeated_message_costs_half() -> None:
    guard = Guard()
    guard.send(message(NOON))
    guard.send(message(NOON + 40))
    assert guard.row(message(NOON), Kind.BLOCK).debt == pytest.approx(1.5, abs=0.01)


def test_a_blocked_request_changes_rows_of_its_client_alone() -> None:
    guard = Guard()
    for request in burst(5):
        guard.send(request)
    assert {key.client for key in counting.blocked(message(NOON + 60), guard.rows)} == {"shop"}


def test_blocked_requests_slow_the_leak_of_their_client() -> None:
    debts = []
    for step in (60.0, 10 * HOUR):
        guard = Guard()
        for request in scattered(100):
            guard.send(request)
        at = NOON + 100
        while at < NOON + 10 * HOUR:
            guard.rows |= counting.blocked(message(at), guard.rows)
            at += step
        guard.rows |= counting.blocked(message(NOON + 10 * HOUR), guard.rows)
        debts.append(guard.row(message(NOON), Kind.CLIENT_COUNTRY).debt)
    often, once = debts
    assert once < often < 20


def test_a_day_becomes_usual_when_the_row_is_next_touched() -> None:
    guard = Guard()
    usual_days(guard, 1, 20)
    row = guard.row(message(NOON), Kind.CLIENT_COUNTRY)
    assert (row.sent, row.approved, row.usual_sent) == (20, 20, 0)
    guard.send(message(NOON))
    row = guard.row(message(NOON), Kind.CLIENT_COUNTRY)
    assert (row.sent, row.approved) == (1, 0)
    assert (row.usual_sent, row.usual_approved, row.days) == pytest.approx((20 * 0.93, 20 * 0.93, 0.93))
    assert usual.messages_a_day(row) == pytest.approx(20)


def test_days_without_messages_count_as_days() -> None:
    one = usual.as_of(Row(touched=NOON, day=20_000, sent=8, approved=8), NOON + 3 * DAY)
    assert usual.messages_a_day(one) == pytest.approx(8 * 0.93**3 / (0.93 + 0.93**2 + 0.93**3))


def test_an_attack_does_not_become_usual() -> None:
    guard = Guard()
    for day in range(4, 0, -1):
        for request in scattered(2000, NOON - day * DAY):
            guard.rows |= counting.sent(request, guard.rows)
    guard.send(message(NOON))
    row = guard.row(message(NOON), Kind.CLIENT_COUNTRY)
    assert (usual.messages_a_day(row), usual.busiest_hour(row)) == (0, 0)


def test_the_usual_conversion_of_a_row_stays_near_that_of_its_client() -> None:
    assert usual.conversion(Row(usual_sent=1000, usual_approved=200), 0.8) == pytest.approx(0.48)
    assert usual.conversion(Row(usual_sent=1000, usual_approved=990), 0.8) == 0.92
    assert usual.conversion(Row(usual_sent=1000, usual_approved=10), 0.3) == 0.25


def test_a_row_is_idle_once_nothing_in_it_matters() -> None:
    guard, request = Guard(), message(NOON)
    guard.send(request)
    assert not any(counting.idle(row, NOON + DAY) for row in guard.rows.values())
    assert all(counting.idle(row, NOON + 60 * DAY) for row in guard.rows.values())
    guard.approve(request)
    assert not counting.idle(guard.row(request, Kind.PERSON), NOON + 20 * DAY)
    assert all(counting.idle(row, NOON + 120 * DAY) for row in guard.rows.values())


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["sent", "blocked", "approved"]),
        st.floats(0, 2 * NOON),
        st.integers(0, 3),
        st.sampled_from([None, "192.0.2.1"]),
    ),
    max_size=40,
)


@given(_STEPS)
def test_rows_stay_finite_and_not_negative_in_any_order_of_events(steps: list[tuple[str, float, int, str]]) -> None:
    guard = Guard()
    for step, at, person, address in steps:
        request = message(at, f"+57300555000{person}", address=address)
        before = {key: copied(row) for key, row in guard.rows.items()}
        if step == "approved":
            changed = counting.approved(at, {key: guard.rows.get(key, Row()) for key in keys_of(request)})
        else:
            changed = (counting.sent if step == "sent" else counting.blocked)(request, guard.rows)
        assert guard.rows == before
        guard.rows |= changed
        assert all(math.isfinite(value) and value >= 0 for row in changed.values() for value in astuple(row))
