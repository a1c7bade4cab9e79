"""Time: the database server's where there is one, and never moved by the wall clock."""

import time

import pytest

from otp_service.clock import Clock, rfc3339
from otp_service.services.operations.clock import synchronize
from tests.support.service import Service


def test_a_jump_of_the_wall_clock_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.now()
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 3600)
    assert clock.now() - before < 60
    assert clock.wall_difference() == pytest.approx(3600, abs=60)


async def test_the_time_is_the_databases(service: Service) -> None:
    clock = service.ctx.clock
    clock.anchor_to(0.0, 0.0)
    await synchronize(service.ctx.database, clock)
    assert clock.now() == pytest.approx(time.time(), abs=5)


def test_times_are_written_in_utc_with_milliseconds() -> None:
    assert rfc3339(1413196251.922) == "2014-10-13T10:30:51.922Z"
