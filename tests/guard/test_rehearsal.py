"""The rehearsal: past requests, decided again."""

import pytest

from otp_service.guard import rehearsal
from otp_service.guard.rehearsal import Event, Rehearsal
from tests.guard.guards import DAY, NOON, burst, scattered


def test_a_message_that_is_sent_is_approved_as_in_the_past() -> None:
    played = Rehearsal()
    assert not any(played.decide(Event(request, 0.5)).blocked for request in burst(100))
    assert (played.summary.total.sent, played.summary.total.lost) == (100, 0)


def test_a_blocked_message_is_never_approved() -> None:
    played = Rehearsal()
    for request in burst(20):
        played.decide(Event(request, None))
    for request in burst(20, NOON + 60):
        assert played.decide(Event(request, 0.5)).blocked
    total = played.summary.total
    assert (total.asked, total.sent, total.blocked, total.lost) == (40, 5, 35, 20)


def test_rules_and_countries_have_tallies_with_money() -> None:
    played = Rehearsal(price_of=lambda e164: 0.5 if e164.startswith("+57") else 0.0)
    for request in burst(20):
        played.decide(Event(request, None))
    country, prefix = played.summary.countries["CO"], played.summary.rules["prefix"]
    assert (country.blocked, country.spent, country.saved) == (15, 2.5, 7.5)
    assert (prefix.asked, prefix.blocked, played.summary.rules["volume"].blocked) == (20, 15, 0)


def test_idle_rows_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "SWEEP_FROM", 1000)
    played = Rehearsal()
    for day in range(60):
        for request in scattered(100, NOON + day * DAY):
            played.decide(Event(request, 20.0 if day % 2 else None))
    assert len(played.rows) < 2 * rehearsal.SWEEP_FROM
