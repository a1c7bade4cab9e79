"""Every event, from every place that makes it true; its data is what a GET returns."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from otp_service.api.events import EVENT_TYPES
from otp_service.services.notifications import outbox
from otp_service.services.operations import retention
from otp_service.services.opt_outs import opt_outs
from otp_service.storage.tables import webhook_deliveries
from tests.support.notifications import get, post
from tests.support.people import begin, opt_out, rows, texts
from tests.support.receipts import tell
from tests.support.receivers import Receiver, add, post_due
from tests.support.service import Api, Service, new_number, wrong

Thing = dict[str, Any]


async def approved(service: Service) -> Thing:
    started = await service.api.start()
    assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"
    return await service.api.read(started["id"])


async def approved_by_text(service: Service) -> Thing:
    await begin(service)
    to = new_number()
    waits = await service.api.start(to, "login", channel="inbound")
    await texts(service, to, waits["inbound"]["text"])
    return await service.api.read(waits["id"])


async def expired_by_the_sweep(service: Service) -> Thing:
    started = await service.api.start()
    service.shift(601)
    await retention.sweep(service.ctx)
    return await service.api.read(started["id"])


async def expired_by_a_new_start(service: Service) -> Thing:
    started = await service.api.start()
    service.shift(601)
    await service.api.start(started["to"])
    return await service.api.read(started["id"])


async def exhausted(service: Service) -> Thing:
    started = await service.api.start()
    for _ in range(started["attempts_left"]):
        assert await service.api.check(started["id"], wrong(service.pin(started["to"]))) == "incorrect"
    return await service.api.read(started["id"])


async def exhausted_by_the_sweep(service: Service) -> Thing:
    started = await service.api.start()
    for _ in range(started["attempts_left"] - 1):
        await service.api.check(started["id"], wrong(service.pin(started["to"])))
    await _lose_a_check(service, started)
    service.shift(13)
    await retention.sweep(service.ctx)
    return await service.api.read(started["id"])


async def _lose_a_check(service: Service, started: Thing) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.ctx.hasher, "matches", crash)
        await service.api.try_check(started["id"], wrong(service.pin(started["to"])))


async def canceled(service: Service) -> Thing:
    started = await service.api.start()
    for _ in range(2):
        await service.api.cancel(started["id"])
    return await service.api.read(started["id"])


async def superseded(service: Service) -> Thing:
    started = await service.api.start(session="s")
    await service.api.start(session="s")
    return await service.api.read(started["id"])


async def restored(service: Service) -> Thing:
    started = await service.api.start()
    await retention.cancel_pending(service.ctx.database, service.ctx.clock, "restored")
    return await service.api.read(started["id"])


async def failed(service: Service) -> Thing:
    service.vendor.fail("*", "refuse", times=None)
    refused = await service.api.try_start(new_number())
    service.vendor.recover()
    return await service.api.read(refused.json()["verification_id"])


async def delivered(service: Service) -> Thing:
    started = await service.api.start()
    await tell(service, started["to"], "DELIVERED_TO_DEVICE", times=2)
    return await service.api.read(started["id"])


async def undelivered(service: Service) -> Thing:
    started = await service.api.start()
    await tell(service, started["to"], "UNDELIVERED")
    return await service.api.read(started["id"])


async def notification_sent(service: Service) -> Thing:
    queued = await post(service.api, new_number(), text="Hello", reference="r")
    await outbox.work(service.ctx)
    return await get(service.api, queued["id"])


async def notification_failed(service: Service) -> Thing:
    queued = await post(service.api, new_number(), text="Hello")
    service.vendor.fail("sms", "http_404")
    await outbox.work(service.ctx)
    return await get(service.api, queued["id"])


async def notification_of_an_opted_out_number(service: Service) -> Thing:
    queued = await post(service.api, new_number(), text="Hello")
    await opt_out(service.api, "add", queued["to"])
    return await get(service.api, queued["id"])


async def notification_delivered(service: Service) -> Thing:
    sent = await notification_sent(service)
    await tell(service, sent["to"], "DELIVERED_TO_DEVICE", times=2)
    return await get(service.api, sent["id"])


async def notification_undelivered(service: Service) -> Thing:
    sent = await notification_sent(service)
    await tell(service, sent["to"], "UNDELIVERED")
    return await get(service.api, sent["id"])


async def opted_out(service: Service) -> Thing:
    to = new_number()
    await opt_out(service.api, "add", to)
    return await opt_out(service.api, "add", to)


async def opted_out_by_text(service: Service) -> Thing:
    await begin(service)
    to = new_number()
    await service.api.start(to)
    await texts(service, to, "STOP", "STOP")
    return await _looked_up(service, to)


async def opted_in(service: Service) -> Thing:
    said = await opted_out(service)
    return await opt_out(service.api, "remove", said["to"])


async def opted_in_by_text(service: Service) -> Thing:
    said = await opted_out_by_text(service)
    await texts(service, said["to"], "START")
    return await _looked_up(service, said["to"])


async def opted_in_by_the_operator(service: Service) -> Thing:
    said, ctx = await opted_out(service), service.ctx
    await opt_outs.lift(ctx.database, ctx.vault, ctx.clock, "START", said["to"])
    return await _looked_up(service, said["to"])


async def _looked_up(service: Service, to: str) -> Thing:
    said = await opt_out(service.api, "lookup", to)
    return {name: value for name, value in said.items() if name != "gateway_blacklisted"}


Make = Callable[[Service], Awaitable[Thing]]
PLACES: list[tuple[str, Make]] = [
    ("verification.approved", approved),
    ("verification.approved", approved_by_text),
    ("verification.expired", expired_by_the_sweep),
    ("verification.expired", expired_by_a_new_start),
    ("verification.exhausted", exhausted),
    ("verification.exhausted", exhausted_by_the_sweep),
    ("verification.canceled", canceled),
    ("verification.canceled", superseded),
    ("verification.canceled", restored),
    ("verification.failed", failed),
    ("verification.delivered", delivered),
    ("verification.undelivered", undelivered),
    ("notification.sent", notification_sent),
    ("notification.failed", notification_failed),
    ("notification.failed", notification_of_an_opted_out_number),
    ("notification.delivered", notification_delivered),
    ("notification.undelivered", notification_undelivered),
    ("number.opted_out", opted_out),
    ("number.opted_out", opted_out_by_text),
    ("number.opted_in", opted_in),
    ("number.opted_in", opted_in_by_text),
    ("number.opted_in", opted_in_by_the_operator),
]


@pytest.mark.parametrize(("name", "make"), PLACES, ids=lambda value: getattr(value, "__name__", None))
async def test_an_event_comes_once_and_shows_what_a_get_returns(
    service: Service, receiver: Receiver, name: str, make: Make
) -> None:
    other = await service.client("other")
    await add(other, f"{receiver.url}/other", "verification.*", "notification.*")
    await add(service.api, f"{receiver.url}/mine", name)
    made = await make(service)
    await post_due(service)
    (event,) = receiver.events
    assert (event.path, event.type) == ("/mine", name)
    made.pop("proof", None)
    assert event.data == made


def test_every_event_is_made_somewhere() -> None:
    # Tests of factors and of the guard make the others.
    elsewhere = {name for name in EVENT_TYPES if name.startswith(("factor.", "device.", "guard."))}
    assert {name for name, _ in PLACES} == set(EVENT_TYPES) - elsewhere


async def clients_with_webhooks(service: Service, receiver: Receiver, *names: str) -> list[Api]:
    apis = [await service.client(name) for name in names]
    for name, api in zip(names, apis, strict=True):
        await add(api, f"{receiver.url}/{name}", "number.*")
    return apis


async def posted_to(service: Service, receiver: Receiver) -> dict[str, list[str]]:
    """Who got which events, so far."""
    await post_due(service)
    paths = {event.path for event in receiver.events}
    return {path: sorted(event.type for event in receiver.events if event.path == path) for path in paths}


@pytest.mark.both_databases
async def test_the_events_of_a_number_go_to_the_clients_that_know_it_alone(
    service: Service, receiver: Receiver
) -> None:
    await begin(service)
    to, both = new_number(), ["number.opted_in", "number.opted_out"]
    verifies, notifies, opts_out, _ = await clients_with_webhooks(
        service, receiver, "verifies", "notifies", "opts_out", "stranger"
    )
    await verifies.start(to)
    await post(notifies, to, text="Hello")
    await opt_out(opts_out, "add", to)
    await texts(service, to, "STOP", "START")
    got = await posted_to(service, receiver)
    assert got == {"/verifies": both, "/notifies": both, "/opts_out": both}
    assert {event.data["to"] for event in receiver.events} == {to}
    assert len(await rows(service, webhook_deliveries)) == 6, "nothing is recorded for others"


@pytest.mark.both_databases
async def test_a_client_gets_no_event_of_a_number_after_retention_removed_the_number(
    service: Service, receiver: Receiver
) -> None:
    await begin(service)
    to = new_number()
    former, present = await clients_with_webhooks(service, receiver, "former", "present")
    await former.start(to)
    service.shift(86400 + 700)
    await retention.sweep(service.ctx)
    service.shift(86400)
    await retention.sweep(service.ctx)
    await present.start(to)
    await texts(service, to, "STOP")
    assert await posted_to(service, receiver) == {"/present": ["number.opted_out"]}


async def test_the_signature_is_that_of_standard_webhooks(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    made = await approved(service)
    await post_due(service)
    (event,) = receiver.events
    assert event.verify(added["secret"])["data"] == made
    assert event.headers["content-type"] == "application/json"


@pytest.mark.both_databases
async def test_what_is_rolled_back_has_no_event(service: Service, receiver: Receiver) -> None:
    await add(service.api, receiver.url)
    started = await service.api.start()

    def crash(*_: Any) -> Any:
        raise RuntimeError

    real = service.ctx.database.write

    async def writes(work: Any, **more: Any) -> Any:
        def then_breaks(tx: Any) -> Any:
            work(tx)
            crash()

        return await real(then_breaks, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.ctx.database, "write", writes)
        answer = await service.api.call("POST", f"/v1/verifications/{started['id']}/cancel")
        assert answer.status_code == 500
    assert (await service.api.read(started["id"]))["status"] == "pending"
    assert await rows(service, webhook_deliveries) == []


@pytest.mark.parametrize("wanted", ["verification.expired", "notification.*", "number.*"])
async def test_an_event_that_nobody_wants_is_not_recorded(service: Service, receiver: Receiver, wanted: str) -> None:
    await add(service.api, receiver.url, wanted)
    await approved(service)
    assert await rows(service, webhook_deliveries) == []


@pytest.mark.parametrize("wanted", ["verification.approved", "verification.*", "*"])
async def test_an_event_is_named_by_itself_by_its_noun_or_by_all(
    service: Service, receiver: Receiver, wanted: str
) -> None:
    await add(service.api, receiver.url, wanted)
    await approved(service)
    await post_due(service)
    assert receiver.types == ["verification.approved"]


@pytest.mark.both_databases
async def test_fifty_right_checks_at_once_make_one_event(service: Service, receiver: Receiver) -> None:
    await add(service.api, receiver.url)
    started = await service.api.start()
    pin = service.pin(started["to"])
    results = Counter(await asyncio.gather(*(service.api.check(started["id"], pin) for _ in range(20))))
    assert results["approved"] == 1
    assert [row["type"] for row in await rows(service, webhook_deliveries)] == ["verification.approved"]


async def test_no_number_and_no_pin_is_stored_in_plain(service: Service, receiver: Receiver) -> None:
    await add(service.api, receiver.url)
    made = await approved(service)
    pin = service.pin(made["to"])

    def everything(tx: sa.Connection) -> str:
        return repr(tx.execute(sa.select(webhook_deliveries)).all())

    stored = await service.ctx.database.read(everything)
    assert made["to"] not in stored
    assert f'"{pin}"' not in stored


async def test_the_events_of_a_decoy_say_so(service: Service, receiver: Receiver) -> None:
    await add(service.api, receiver.url)
    answer = await service.api.call("POST", "/v1/verifications", {"purpose": "signup", "decoy": True})
    await service.api.cancel(answer.json()["id"])
    await post_due(service)
    (event,) = receiver.events
    assert (event.type, event.data["decoy"], event.data["to"]) == ("verification.canceled", True, None)
