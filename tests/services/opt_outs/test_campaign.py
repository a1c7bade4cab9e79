"""The campaign platform is told of opt-outs at most once each, and its echo is not taken for the person's word."""

import asyncio
from itertools import permutations
from typing import Any

import pytest

from otp_service.gateways.base import Outcome, Sent
from otp_service.services.inbound import reader
from otp_service.services.operations import retention
from otp_service.services.opt_outs import campaign, opt_outs
from otp_service.storage.queues import campaign_messages as stored
from otp_service.storage.tables import campaign_messages, numbers
from tests.support.people import begin, hears, look, opt_out, rows, source_of, tells, texts, try_opt_out
from tests.support.service import Service, new_number, serving
from tests.support.vendor import SENDER, Vendor


def words(vendor: Vendor, to: str) -> list[str]:
    """What the platform was told of a number, the oldest first."""
    return [each["text"] for each in reversed(vendor.fired()) if each["to"] == to]


async def test_an_opt_out_and_its_removal_are_told_once_each_in_their_order(service: Service) -> None:
    to = new_number()
    for call, told in (("add", ["STOP"]), ("remove", ["STOP", "START"]), ("add", ["STOP", "START", "STOP"])):
        await opt_out(service.api, call, to)
        await opt_out(service.api, call, to)
        await tells(service)
        await tells(service)
        assert words(service.vendor, to) == told


async def test_what_is_taken_back_before_it_was_told_is_not_told(service: Service) -> None:
    to = new_number()
    await opt_out(service.api, "add", to)
    await opt_out(service.api, "remove", to)
    await tells(service)
    assert words(service.vendor, to) == ["START"]
    await begin(service)
    other = new_number()
    await opt_out(service.api, "add", other)
    await texts(service, other, "START")
    await tells(service)
    assert words(service.vendor, other) == []


async def test_other_words_or_none_can_be_configured(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"campaign": {"stop": "BAJA", "start": ""}}) as service:
        to = new_number()
        await opt_out(service.api, "add", to)
        await tells(service)
        await opt_out(service.api, "remove", to)
        await tells(service)
        assert words(vendor, to) == ["BAJA"]


@pytest.mark.usefixtures("stopped_clock")
async def test_a_refused_word_is_told_again_after_a_growing_pause_for_a_day(service: Service) -> None:
    to = new_number()
    await opt_out(service.api, "add", to)
    service.vendor.fail("fire", "refuse", times=None)
    pauses = []
    for _ in range(5):
        await tells(service)
        (row,) = await rows(service, campaign_messages)
        assert (row["outcome"], row["fired_at"], row["reason"]) == (None, None, "error")
        pauses.append(round(row["due_at"] - service.ctx.clock.now()))
        service.shift(row["due_at"] - service.ctx.clock.now() - 1)
        await tells(service)
        assert (await rows(service, campaign_messages))[0]["tries"] == len(pauses)
        service.shift(1.1)
    assert pauses == [5, 10, 20, 40, 80]
    service.shift(86400)
    await tells(service)
    assert (await rows(service, campaign_messages))[0]["outcome"] == "refused"
    service.vendor.recover()
    service.shift(1000)
    await tells(service)
    assert words(service.vendor, to) == []


async def test_a_refused_word_that_is_no_longer_true_is_not_told_again(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    await tells(service)
    await opt_out(service.api, "remove", to)
    service.vendor.fail("fire", "slow_refuse", seconds=0.5)
    telling = asyncio.create_task(tells(service))
    await service.vendor.fault_taken()
    await texts(service, to, "STOP", "STOP")
    await telling
    service.shift(100)
    await tells(service)
    assert words(service.vendor, to).count("START") == 0
    assert await source_of(service, to) == "user"


@pytest.mark.parametrize("fault", ["reset_after", "unknown", "html"])
async def test_a_word_of_unknown_outcome_is_never_told_again(migrated: str, vendor: Vendor, fault: str) -> None:
    async with serving(migrated, vendor) as service:
        to = new_number()
        await opt_out(service.api, "add", to)
        vendor.fail("fire", fault)
        await tells(service)
        (row,) = await rows(service, campaign_messages)
        assert (row["outcome"], row["due_at"]) == ("unknown", None)
        before = words(vendor, to)
        service.shift(1000)
        await tells(service)
        assert words(vendor, to) == before


async def test_a_process_that_dies_while_it_sends_a_word_leaves_it_unsent_for_good(service: Service) -> None:
    ctx, to = service.ctx, new_number()
    await opt_out(service.api, "add", to)
    service.shift(opt_outs.SETTLE_SECONDS)
    now = ctx.clock.now()
    claimed = await ctx.database.write(lambda tx: stored.claim(tx, now, lease_until=now + 16, limit=1))
    await opt_out(service.api, "remove", to)
    await tells(service)
    assert words(service.vendor, to) == [], "one of a number at a time"
    service.shift(17)
    assert (await retention.sweep(ctx))["abandoned_campaign"] == len(claimed) == 1
    await tells(service)
    assert [row["outcome"] for row in await rows(service, campaign_messages)] == ["unknown", "accepted"]
    assert words(service.vendor, to) == ["START"]


async def test_two_processes_tell_each_word_once(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as one, serving(database_url, vendor) as two:
        numbers = [new_number() for _ in range(20)]
        await asyncio.gather(*(opt_out(one.api, "add", to) for to in numbers))
        for each in (one, two):
            each.shift(opt_outs.SETTLE_SECONDS)
        await asyncio.gather(*(campaign.work(each.ctx) for each in (one, two) * 4))
        assert sorted(each["to"] for each in vendor.fired()) == sorted(numbers)


@pytest.mark.parametrize("order", ["callback first", "list first", "list alone"])
async def test_the_echo_of_our_own_word_is_not_the_persons(service: Service, order: str) -> None:
    await begin(service)
    to = new_number()
    for call, word in (("add", "STOP"), ("remove", "START"), ("add", "STOP")):
        await opt_out(service.api, call, to)
        await tells(service)
        if order == "callback first":
            await hears(service, to, word)
        await look(service)
        if order != "list alone":
            await hears(service, to, word)
            await hears(service, to, word)
        await look(service)
        assert await source_of(service, to) == ("client" if call == "add" else None)
        service.shift(7200)
        await hears(service, to, word)
    assert (await opt_out(service.api, "remove", to))["opted_out"] is False


async def test_a_real_stop_beside_the_echo_is_the_persons(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    await tells(service)
    await texts(service, to, "STOP")
    assert await source_of(service, to) == "user"
    assert (await try_opt_out(service.api, "remove", to)).status_code == 409


async def tells_without_echo(service: Service) -> None:
    """The word is lost on the way to the platform."""
    service.vendor.fail("fire", "reset_before")
    await tells(service)


async def test_a_stop_long_after_the_word_is_the_persons(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    service.vendor.fail("fire", "reset_before")
    await tells(service)
    service.shift(3700)
    await look(service)
    await texts(service, to, "stop")
    assert await source_of(service, to) == "user"


async def test_another_word_for_stop_is_the_persons_own(service: Service) -> None:
    await begin(service)
    for text in ("BAJA", "Stop texting me, I never asked!"):
        to = new_number()
        await opt_out(service.api, "add", to)
        await tells_without_echo(service)
        await texts(service, to, text)
        assert await source_of(service, to) == "user"


async def test_an_echo_that_is_read_late_counts_as_the_persons(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    await tells(service)
    service.shift(120)
    await look(service)
    assert await source_of(service, to) == "user"


def echoes_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform takes every keyword and lists none."""

    async def accepts(*_: Any) -> Sent:
        return Sent(Outcome.ACCEPTED, "ok")

    monkeypatch.setattr(service.ctx.gateway, "send_keyword", accepts)


async def test_a_stop_is_the_persons_if_no_echo_ever_comes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await begin(service)
    echoes_nothing(service, monkeypatch)
    out, out_and_in = new_number(), new_number()
    for to in (out, out_and_in):
        await opt_out(service.api, "add", to)
        await tells(service)
    await opt_out(service.api, "remove", out_and_in)
    await tells(service)
    await texts(service, out_and_in, "STOP")
    service.shift(120)
    await texts(service, out, "STOP")
    for to in (out, out_and_in):
        assert (await try_opt_out(service.api, "remove", to)).json()["code"] == "user_opted_out"


@pytest.mark.parametrize(
    "listed", [p for n in (1, 2, 3) for p in sorted(set(permutations(["STOP", "STOP", "START"], n)))]
)
async def test_a_persons_stop_counts_in_whatever_order_the_echoes_come(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, listed: list[str]
) -> None:
    """Of each order at least one STOP can be the person's."""
    async with serving(migrated, vendor) as service:
        await begin(service)
        echoes_nothing(service, monkeypatch)
        to = new_number()
        for call in ("add", "remove"):
            await opt_out(service.api, call, to)
            await tells(service)
        for text in listed:
            await texts(service, to, text)
        assert await source_of(service, to) == ("user" if "STOP" in listed else None)


async def test_an_opt_out_that_is_lifted_at_once_is_not_reported(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    await campaign.work(service.ctx)
    await opt_out(service.api, "remove", to)
    await tells(service)
    await look(service)
    assert words(service.vendor, to) == ["START"]
    assert await source_of(service, to) is None


async def test_a_stop_by_callback_counts_unless_it_can_be_an_echo(service: Service) -> None:
    await begin(service)
    told, lost = new_number(), new_number()
    await opt_out(service.api, "add", told)
    await tells(service)
    await opt_out(service.api, "add", lost)
    await tells_without_echo(service)
    for to in (told, lost):
        await hears(service, to, "STOP")
    assert await source_of(service, told) == "client"
    assert await source_of(service, lost) == "user"


async def test_a_stop_in_other_letters_is_no_echo(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    await tells(service)
    await hears(service, to, "Stop")
    assert await source_of(service, to) == "user"


async def test_a_stop_that_came_while_the_platform_refused_the_keyword_is_the_persons(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    service.vendor.fail("fire", "slow_refuse", seconds=2)
    telling = asyncio.create_task(tells(service))
    await service.vendor.fault_taken()
    await texts(service, to, "STOP")
    await telling
    assert await source_of(service, to) == "user"


async def test_a_stop_after_the_persons_own_start_counts_though_an_echo_is_owed(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    service.vendor.fail("fire", "reset_before")
    await tells(service)
    await texts(service, to, "START")
    assert await source_of(service, to) is None
    await texts(service, to, "STOP")
    assert await source_of(service, to) == "user"


async def test_without_polling_the_callback_is_what_counts_of_the_echo_too(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"inbound": {"poll_every": 0}}) as service:
        to = new_number()
        await opt_out(service.api, "add", to)
        await tells(service)
        await hears(service, to, "STOP")
        assert await source_of(service, to) == "client"
        await hears(service, to, "STOP")
        assert await source_of(service, to) == "user"
        await hears(service, to, "START")
        assert await source_of(service, to) is None
        await reader.poll(service.ctx)
        assert await source_of(service, to) is None


async def test_the_platform_is_told_which_of_our_codes_it_is_about(service: Service) -> None:
    to = new_number()
    await opt_out(service.api, "add", to)
    await tells(service)
    assert service.vendor.notices()[0]["TO"] == SENDER


async def test_a_refused_word_owes_no_echo(service: Service) -> None:
    await begin(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    service.vendor.fail("fire", "slow_refuse", seconds=0.3)
    telling = asyncio.create_task(tells(service))
    await service.vendor.fault_taken()
    await opt_out(service.api, "remove", to)
    await telling
    await texts(service, to, "STOP")
    assert await source_of(service, to) == "user"


async def test_removing_what_was_never_there_keeps_no_number(service: Service) -> None:
    to = new_number()
    assert (await opt_out(service.api, "remove", to))["opted_out"] is False
    assert await rows(service, numbers) == []
