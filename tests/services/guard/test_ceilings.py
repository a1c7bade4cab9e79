"""Ceilings: what messages may cost."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from otp_service.config.policy.guard import GuardRules
from otp_service.database.statements import AnyRow
from otp_service.services.context import Context
from otp_service.services.delivery import sending
from otp_service.services.operations import retention
from otp_service.services.verifications.pin_messages import pin_delivery
from otp_service.services.verifications.pin_messages.pin_message import PinMessage
from otp_service.storage.tables import ceilings
from tests.services.guard.support import config, start, watch_once
from tests.support.receivers import LOOPBACK, Receiver, add, post_due
from tests.support.service import Api, Service, new_number, serving
from tests.support.vendor import Vendor


async def spent(service: Service) -> int:
    total = sa.select(sa.func.sum(ceilings.c.spent))
    return int(await service.ctx.database.read(lambda tx: tx.scalar(total)) or 0)


def ceiling(**scopes: str) -> dict[str, Any]:
    return config(prices={"default": 0.05, "1": 0.01}, ceilings=scopes)


@pytest.mark.parametrize("scope", ["total", "client", "country"])
async def test_no_message_is_sent_above_a_ceiling(
    database_url: str,
    vendor: Vendor,
    stopped_clock: None,  # noqa: ARG001
    scope: str,
) -> None:
    async with serving(database_url, vendor, ceiling(**{scope: "0.1/day"})) as service:
        answers = [await start(service, new_number()) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        refused = answers[-1].json()
        assert (refused["code"], refused["limit"]) == ("rate_limited", f"ceiling_{scope}")
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 86400
        service.shift(86400)
        assert (await start(service, new_number())).status_code == 201


async def test_a_ceiling_of_one_client_or_country_leaves_the_others_alone(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, ceiling(client="0.05/day", country="0.1/day")) as service:
        assert (await start(service, new_number())).status_code == 201
        assert (await start(service, new_number())).json()["limit"] == "ceiling_client"
        other = await service.client("other")
        assert (await start(service, new_number(), other)).status_code == 201
        third = await service.client("third")
        assert (await start(service, new_number(), third)).json()["limit"] == "ceiling_country"
        assert (await start(service, "+12015550123", third)).status_code == 201


@pytest.mark.both_databases
@pytest.mark.parametrize("starts", [60, pytest.param(200, marks=pytest.mark.long)])
async def test_of_many_starts_at_once_on_two_replicas_no_more_are_sent_than_the_ceiling_allows(
    database_url: str, vendor: Vendor, starts: int
) -> None:
    policy = ceiling(total="1/day", country="0.9/day")
    async with serving(database_url, vendor, policy) as one, serving(database_url, vendor, policy) as two:
        replicas = [one.api, Api(two.http, one.api.api_key)]
        asked = [replicas[number % 2].try_start(new_number()) for number in range(starts)]
        answers = Counter(answer.status_code for answer in await asyncio.gather(*asked))
        assert answers[201] == 18
        assert set(answers) <= {201, 429, 503}
        assert await spent(one) == 2 * 900_000


async def test_a_price_is_given_back_if_nothing_went_out_and_kept_if_that_is_unknown(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor, ceiling(total="0.1/day")) as service:
        for route in ("pin", "sms", "mt"):
            vendor.fail(route, "refuse")
        assert (await start(service, new_number())).status_code == 502
        assert await spent(service) == 0
        vendor.fail("pin", "reset_after")
        assert (await start(service, new_number())).json()["delivery"]["status"] == "unknown"
        assert await spent(service) == 50_000


async def _dies(*_: Any) -> NoReturn:
    """Ends what the process does here. tests/faults/test_kills.py ends the process itself."""
    raise RuntimeError


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("dies_in", "kept"), [(pin_delivery, 0), (sending, 50_000)], ids=["before the call", "while the call runs"]
)
async def test_a_price_whose_process_died_is_given_back_if_the_gateway_was_not_called(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, dies_in: ModuleType, kept: int
) -> None:
    async with serving(database_url, vendor, ceiling(total="0.1/day", client="0.1/day")) as service:
        monkeypatch.setattr(dies_in, "deliver" if dies_in is pin_delivery else "send", _dies)
        assert (await service.api.try_start(new_number())).status_code == 500
        assert await spent(service) == 2 * 50_000
        service.shift(retention.STUCK_AFTER_SECONDS + 1)
        await retention.sweep(service.ctx)
        await retention.sweep(service.ctx)
        assert await spent(service) == 2 * kept


@pytest.mark.both_databases
async def test_a_message_whose_price_was_given_back_is_not_sent(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is held up between the reservation and the call finds its send abandoned."""

    async def is_held_up(ctx: Context, message: PinMessage) -> AnyRow:
        service.shift(retention.STUCK_AFTER_SECONDS + 1)
        await retention.sweep(service.ctx)
        return await deliver(ctx, message)

    deliver = pin_delivery.deliver
    async with serving(database_url, vendor, ceiling(total="0.05/day")) as service:
        monkeypatch.setattr(pin_delivery, "deliver", is_held_up)
        to = new_number()
        answer = await service.api.try_start(to)
        assert (answer.status_code, answer.json()["code"]) == (502, "gateway_failed")
        assert vendor.messages(to) == []
        assert await spent(service) == 0


async def test_a_resend_costs_as_much_and_a_decoy_nothing(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, ceiling(total="0.1/day")) as service:
        started = await start(service, new_number())
        assert (await service.api.resend(started.json()["id"])).status_code == 200
        assert await spent(service) == 100_000
        decoy = await start(service, new_number(), decoy=True)
        assert decoy.json()["limit"] == "ceiling_total"
        service.shift(86400)
        assert (await start(service, new_number(), decoy=True)).status_code == 201
        assert await spent(service) == 100_000


async def test_the_hour_and_the_day_both_count(
    database_url: str,
    vendor: Vendor,
    stopped_clock: None,  # noqa: ARG001
) -> None:
    async with serving(database_url, vendor, ceiling(total="0.05/hour; 0.1/day")) as service:
        day = service.ctx.clock.now() // 86400 * 86400
        service.shift(day + 86400 - service.ctx.clock.now())
        statuses = []
        for _ in range(3):
            statuses += [(await start(service, new_number())).status_code for _ in range(2)]
            service.shift(3600)
        assert statuses == [201, 429, 201, 429, 429, 429]


def test_a_ceiling_is_named_once_an_hour_and_once_a_day() -> None:
    with pytest.raises(ValidationError, match="one ceiling per hour"):
        GuardRules.model_validate({"ceilings": {"total": "20/hour; 30/hour"}})


async def test_a_decoy_of_a_test_number_costs_as_little_as_its_message(database_url: str, vendor: Vendor) -> None:
    until = datetime.now(UTC).date() + timedelta(days=7)
    entry = {"+573009999999": {"pin": "123456", "until": until}}
    policy = {**ceiling(total="0/day"), "test_numbers": entry}
    async with serving(database_url, vendor, policy) as service:
        for decoy in (False, True):
            assert (await start(service, "+573009999999", decoy=decoy)).status_code == 201


async def test_webhooks_are_told_of_50_80_and_100_percent_once(
    database_url: str, vendor: Vendor, receiver: Receiver
) -> None:
    async with serving(database_url, vendor, ceiling(total="0.5/day"), webhook_networks=LOOPBACK) as service:
        await add(service.api, receiver.url, "guard.*")
        for _ in range(10):
            await start(service, new_number())
            await watch_once(service)
            await watch_once(service)
        await post_due(service)
        told = [event.data for event in receiver.events if event.type == "guard.ceiling"]
        assert sorted(each["percent"] for each in told) == [50, 80, 100]
        assert {each["scope"] for each in told} == {"total"}
