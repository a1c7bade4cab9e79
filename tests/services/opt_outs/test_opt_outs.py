"""Opt-outs hold for everything that is sent, of every client; the person by SMS has the last word."""

import asyncio

import pytest

from otp_service.services.notifications import outbox
from otp_service.services.opt_outs import opt_outs
from tests.support.people import begin, hears, opt_out, source_of, texts, try_opt_out
from tests.support.service import AT_ONCE, NO_LIMITS, Service, new_number, serving
from tests.support.vendor import Vendor


async def notify(service: Service, to: str) -> str:
    """The id of a queued notification, or the code of the refusal."""
    answer = await service.api.call("POST", "/v1/notifications", {"to": to, "text": "Your order is on its way."})
    return str(answer.json().get("id") or answer.json()["code"])


async def test_nothing_goes_to_a_number_that_any_client_opted_out(service: Service) -> None:
    to, other = new_number(), await service.client("other")
    queued = await notify(service, to)
    answer = await opt_out(other, "add", to)
    assert (answer["to"], answer["opted_out"], answer["source"]) == (to, True, "client")
    assert (await service.api.try_start(to)).json()["code"] == "opted_out"
    assert await notify(service, to) == "opted_out"
    await outbox.work(service.ctx)
    read = (await service.api.call("GET", f"/v1/notifications/{queued}")).json()
    assert (read["status"], read["reason"]) == ("failed", "opted_out")
    assert service.vendor.messages(to) == []
    assert await opt_out(service.api, "remove", to) == {"to": to, "opted_out": False, "source": None, "since": None}
    assert (await service.api.start(to))["status"] == "pending"


async def test_a_pending_verification_is_found_again_but_gets_no_further_message(
    database_url: str, vendor: Vendor
) -> None:
    config = {
        "limits": NO_LIMITS,
        "purposes": {"signup": AT_ONCE, "login": {**AT_ONCE, "send_to_opted_out": True}},
    }
    async with serving(database_url, vendor, config) as service:
        to = new_number()
        started, login = await service.api.start(to), await service.api.start(to, purpose="login")
        pin = service.vendor.messages(to)[1]["pin"]
        await opt_out(service.api, "add", to)
        again = await service.api.try_start(to)
        assert (again.status_code, again.json()["id"]) == (200, started["id"])
        resent = await service.api.resend(started["id"])
        assert (resent.status_code, resent.json()["code"]) == (403, "opted_out")
        assert (await service.api.read(started["id"]))["sends_left"] == started["sends_left"]
        assert await service.api.check(started["id"], pin) == "approved"
        assert (await service.api.resend(login["id"])).status_code == 200
        await service.api.cancel(login["id"])
        assert (await service.api.try_start(to, purpose="login")).status_code == 201


async def test_opting_out_and_removing_can_be_repeated_and_keeps_the_first_time(service: Service) -> None:
    to = new_number()
    first = await opt_out(service.api, "add", to)
    service.shift(100)
    assert await opt_out(await service.client("other"), "add", to) == first
    await opt_out(service.api, "remove", to)
    await opt_out(service.api, "remove", to)
    assert await source_of(service, to) is None
    again = await opt_out(service.api, "add", to)
    assert again["since"] > first["since"]


async def test_a_stop_by_sms_is_lifted_only_by_the_person_or_an_operator(service: Service) -> None:
    await begin(service)
    to = new_number()
    await texts(service, to, "Stop.")
    said = await opt_out(service.api, "add", to)
    assert (said["opted_out"], said["source"]) == (True, "user")
    refused = await try_opt_out(service.api, "remove", to)
    assert (refused.status_code, refused.json()["code"]) == (409, "user_opted_out")
    assert (await service.api.try_start(to)).status_code == 403
    await texts(service, to, "START")
    assert await source_of(service, to) is None
    await texts(service, to, "BAJA")
    ctx = service.ctx
    assert await opt_outs.lift(ctx.database, ctx.vault, ctx.clock, "START", to)
    assert not await opt_outs.lift(ctx.database, ctx.vault, ctx.clock, "START", to)
    assert (await service.api.start(to))["status"] == "pending"


@pytest.mark.both_databases
async def test_the_persons_word_takes_over_an_opt_out_of_a_client_and_start_lifts_both(service: Service) -> None:
    await begin(service)
    to = new_number()
    first = await opt_out(service.api, "add", to)
    await texts(service, to, "stop")
    taken_over = await opt_out(service.api, "lookup", to)
    assert (taken_over["source"], taken_over["since"]) == ("user", first["since"])
    await texts(service, to, "start")
    await opt_out(service.api, "add", to)
    await texts(service, to, "alta")
    assert await source_of(service, to) is None


async def test_a_stop_fails_what_waits_in_the_queue(service: Service) -> None:
    await begin(service)
    to, other = new_number(), new_number()
    queued, theirs = await notify(service, to), await notify(service, other)
    await texts(service, to, "PARE")
    await outbox.work(service.ctx)
    found = [(await service.api.call("GET", f"/v1/notifications/{each}")).json() for each in (queued, theirs)]
    assert [(each["status"], each["reason"]) for each in found] == [("failed", "opted_out"), ("sent", None)]


async def test_a_lookup_asks_the_gateway_and_says_when_it_could_not_tell(service: Service) -> None:
    to = new_number()
    unknown = {"to": to, "opted_out": False, "source": None, "since": None, "gateway_blacklisted": False}
    assert await opt_out(service.api, "lookup", to) == unknown
    service.vendor.blacklist(to)
    assert (await opt_out(service.api, "lookup", to))["gateway_blacklisted"] is True
    service.vendor.fail("blacklist", "unknown")
    assert (await opt_out(service.api, "lookup", to))["gateway_blacklisted"] is None


@pytest.mark.both_databases
async def test_opt_outs_and_starts_at_the_same_moment_end_in_some_order(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        to = new_number()
        answers = await asyncio.gather(
            *(service.api.try_start(to, session=f"s{number}") for number in range(6)),
            *(try_opt_out(service.api, "add", to) for _ in range(3)),
            *(hears(service, to, "STOP") for _ in range(3)),
        )
        assert {answer.status_code for answer in answers[:6]} <= {201, 403}
        assert await source_of(service, to) == "user"
        assert (await service.api.try_start(to, session="after")).status_code == 403
