"""The times of decoys cannot be told from those of real verifications."""

import random
import time
from collections.abc import Sequence
from typing import Any

import pytest

from otp_service.gateways.base import Outcome
from otp_service.services.delivery.decoys import RecentSend, RecentSends
from tests.support.service import NO_LIMITS, Service, new_number, serving
from tests.support.vendor import Vendor

COUNT = 200
CRITICAL = 1.358 * (2 / COUNT) ** 0.5
"""Of the two-sample Kolmogorov-Smirnov test at 5 %, for this many of each."""
ROUNDS = 3
"""One test in twenty finds a difference where there is none. A real one is found every time."""


def distance(some: Sequence[float], others: Sequence[float]) -> float:
    """The greatest difference of the two empirical distribution functions."""
    return max(
        abs(sum(each <= at for each in some) / len(some) - sum(each <= at for each in others) / len(others))
        for at in [*some, *others]
    )


def gateway_seconds(chance: random.Random) -> float:
    return chance.uniform(0.05, 0.4)


@pytest.mark.parametrize("interleaved", [True, False])
def test_drawn_times_spread_like_the_real_ones(interleaved: bool) -> None:
    chance, told_apart = random.Random(7), 0
    for _ in range(50):
        recent, real, fake = RecentSends(), [], []
        for _ in range(COUNT):
            real.append(gateway_seconds(chance))
            recent.record("signup", RecentSend(real[-1], "pin", Outcome.ACCEPTED, "ok"))
            if interleaved:
                fake.append(recent.draw("signup").seconds)
        while len(fake) < COUNT:
            fake.append(recent.draw("signup").seconds)
        told_apart += distance(real, fake) > CRITICAL
    assert told_apart <= 5


@pytest.mark.long
async def test_starts_and_checks_of_decoys_take_as_long_as_real_ones(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(11)
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        send_pin = service.ctx.gateway.send_pin

        async def slow(*given: Any) -> Any:
            vendor.fail("pin", "slow", seconds=gateway_seconds(chance))
            return await send_pin(*given)

        monkeypatch.setattr(service.ctx.gateway, "send_pin", slow)
        for _ in range(20):
            await service.api.start()
        for _ in range(ROUNDS):
            starts, checks = await measured(service)
            told_apart = [distance(each[False], each[True]) > CRITICAL for each in (starts, checks)]
            if not any(told_apart):
                break
        assert told_apart == [False, False]


async def measured(service: Service) -> tuple[dict[bool, list[float]], dict[bool, list[float]]]:
    """The seconds of starts and of checks, of decoys and of real verifications in turns."""
    starts: dict[bool, list[float]] = {False: [], True: []}
    checks: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(COUNT):
        for fake in (False, True):
            begun = time.perf_counter()
            started = await service.api.start(new_number(), decoy=fake)
            starts[fake].append(time.perf_counter() - begun)
            begun = time.perf_counter()
            await service.api.check(started["id"], "000000")
            checks[fake].append(time.perf_counter() - begun)
    return starts, checks
