"""The takeovers meter."""

import pytest
from prometheus_client import REGISTRY

from otp_service.errors import Unavailable
from otp_service.services.guard import takeovers
from tests.services.guard.support import config, start, watch_once
from tests.support.receivers import LOOPBACK, Receiver, add, post_due
from tests.support.service import Service, new_number, serving, wrong
from tests.support.vendor import Vendor


async def guess(service: Service, times: int = 2) -> None:
    """Checks wrong PINs, each a guess in a million."""
    for _ in range(times):
        to = new_number()
        started = (await start(service, to)).json()
        assert await service.api.check(started["id"], wrong(service.pin(to))) == "incorrect"
    await watch_once(service)


@pytest.mark.both_databases
async def test_wrong_checks_of_the_last_hour_raise_an_alarm_once(
    database_url: str, vendor: Vendor, receiver: Receiver
) -> None:
    policy = config(takeovers={"alarm": 0.000_002_5})
    async with serving(database_url, vendor, policy, webhook_networks=LOOPBACK) as service:
        await add(service.api, receiver.url, "guard.takeovers")
        await guess(service)
        await post_due(service)
        assert receiver.events == []
        await guess(service)
        await watch_once(service)
        await post_due(service)
        (event,) = receiver.events
        assert event.data["purpose"] == "signup"
        assert event.data["expected_per_hour"] == pytest.approx(4e-6)
        service.shift(3700)
        await watch_once(service)
        assert service.ctx.takeovers.above_alarm == frozenset()


async def test_above_the_alarm_new_pins_are_longer_until_it_is_over(database_url: str, vendor: Vendor) -> None:
    policy = config(takeovers={"alarm": 0.000_001_5, "longer_pins": True})
    async with serving(database_url, vendor, policy) as service:
        await guess(service)
        to = new_number()
        longer = (await start(service, to)).json()
        assert (longer["pin_length"], len(service.pin(to))) == (8, 8)
        assert (await service.api.resend(longer["id"])).status_code == 200
        assert len(service.pin(to)) == 8
        assert await service.api.check(longer["id"], service.pin(to)) == "approved"
        assert (await start(service, new_number(), purpose="login")).json()["pin_length"] == 6
        service.shift(3700)
        await watch_once(service)
        assert (await start(service, new_number())).json()["pin_length"] == 6


async def test_a_decoy_and_a_right_pin_count_nothing(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        to = new_number()
        started = (await start(service, to)).json()
        assert await service.api.check(started["id"], service.pin(to)) == "approved"
        decoy = (await start(service, new_number(), decoy=True)).json()
        await service.api.check(decoy["id"], "000000")
        assert service.ctx.takeovers.wrong == {}


async def test_a_guess_counts_as_often_as_there_are_live_pins(database_url: str, vendor: Vendor) -> None:
    policy = {**config(), "purposes": {"signup": {"resend_after": [0], "live_pins": 2}}}
    async with serving(database_url, vendor, policy) as service:
        to = new_number()
        started = (await start(service, to)).json()
        first = service.pin(to)
        await service.api.resend(started["id"])
        guessed = next(pin for pin in ("000000", "111111", "222222") if pin not in {first, service.pin(to)})
        assert await service.api.check(started["id"], guessed) == "incorrect"
        assert list(service.ctx.takeovers.wrong.values()) == pytest.approx([2e-6])


async def test_guesses_are_not_lost_while_the_database_is_away(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor, config()) as service:
        service.ctx.takeovers.add(("shop", "signup"), digits=6, live=1)

        async def away(*_: object) -> None:
            raise Unavailable

        with monkeypatch.context() as patch:
            patch.setattr(service.ctx.database, "write", away)
            with pytest.raises(Unavailable):
                await takeovers.measure(service.ctx)
        assert service.ctx.takeovers.wrong == {("shop", "signup"): pytest.approx(1e-6)}


async def test_the_metric_goes_back_to_zero_when_the_hour_is_over(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        await guess(service)
        (of,) = service.ctx.takeovers.shown
        labels = {"client": of[0], "purpose": of[1]}
        assert REGISTRY.get_sample_value("otp_guard_expected_takeovers", labels) == pytest.approx(2e-6)
        service.shift(3700)
        await watch_once(service)
        assert REGISTRY.get_sample_value("otp_guard_expected_takeovers", labels) == 0
