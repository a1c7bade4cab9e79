"""Posts: at least once, tried again as promised, and one receiver holds up no other."""

import asyncio
import math
from typing import Any

import pytest
import sqlalchemy as sa
from standardwebhooks.webhooks import WebhookVerificationError

from otp_service.config.secret_keys import parse_secret_keys
from otp_service.gateways.webhooks import Posted
from otp_service.services.clients import clients
from otp_service.services.operations import retention, rotation
from otp_service.services.webhooks import delivery
from otp_service.storage.queues import webhook_deliveries as queue
from otp_service.storage.tables import webhook_deliveries
from otp_service.vault import Vault, generate_key_entry
from tests.support.people import rows
from tests.support.receivers import Receiver, add, deliveries, post_due
from tests.support.service import SECRET_KEYS, Api, Service
from tests.support.statements import open_transactions


async def approve(api: Api, service: Service) -> dict[str, Any]:
    started = await api.start()
    assert await api.check(started["id"], service.pin(started["to"])) == "approved"
    return started


async def status_of(api: Api, webhook_id: str) -> str:
    return str((await api.call("GET", f"/v1/webhooks/{webhook_id}")).json()["status"])


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_an_event_is_tried_again_as_documented_then_given_up(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    await approve(service.api, service)
    receiver.status = 500
    for tries, pause in enumerate((5, 30, 120, 600, 3600, 10800, 21600, 43200, 86400), 1):
        await post_due(service)
        (shown,) = await deliveries(service.api, added["id"])
        assert (shown["status"], shown["attempts"], shown["last_status_code"]) == ("pending", tries, 500)
        assert shown["last_error"] == "http_500"
        service.shift(pause - 1)
        await post_due(service)
        assert len(receiver.events) == tries
        service.shift(1)
    await post_due(service)
    (shown,) = await deliveries(service.api, added["id"])
    assert (shown["status"], shown["attempts"], shown["next_at"]) == ("failed", 10, None)
    assert len({event.id for event in receiver.events}) == 1
    assert len({event.body for event in receiver.events}) == 1
    assert receiver.events[0].id == shown["id"]


@pytest.mark.usefixtures("stopped_clock")
async def test_a_receiver_that_was_down_for_an_hour_gets_all(service: Service, receiver: Receiver) -> None:
    await add(service.api, receiver.url)
    receiver.status = 503
    started = []
    for _ in range(12):
        started.append(await approve(service.api, service))
        await post_due(service)
        service.shift(300)
    receiver.status = 200
    receiver.events.clear()
    for _ in range(9):
        service.shift(600)
        await post_due(service)
    assert sorted(event.data["id"] for event in receiver.events) == sorted(each["id"] for each in started)


async def test_gone_disables_the_webhook_and_a_successful_test_enables_it(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    await approve(service.api, service)
    await approve(service.api, service)
    receiver.status = 410
    await post_due(service)
    assert await status_of(service.api, added["id"]) == "disabled"
    await retention.sweep(service.ctx)
    assert [each["status"] for each in await deliveries(service.api, added["id"])] == ["failed"] * 2
    await approve(service.api, service)
    assert len(await deliveries(service.api, added["id"])) == 2, "a disabled webhook gets no new events"
    path = f"/v1/webhooks/{added['id']}"
    replay = f"{path}/deliveries/{receiver.events[0].id}/replay"
    assert (await service.api.call("POST", replay)).json()["code"] == "webhook_disabled"
    tested = (await service.api.call("POST", f"{path}/test")).json()
    assert tested == {"delivered": False, "status_code": 410, "error": "http_410"}
    receiver.status = 200
    tested = (await service.api.call("POST", f"{path}/test")).json()
    assert tested == {"delivered": True, "status_code": 200, "error": None}
    assert await status_of(service.api, added["id"]) == "active"
    assert (await service.api.call("POST", replay)).status_code == 202


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_three_days_without_success_disable_the_webhook(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    receiver.status = 500
    await approve(service.api, service)
    await post_due(service)
    service.shift(3 * 86400 - 1)
    await post_due(service)
    assert await status_of(service.api, added["id"]) == "active"
    await approve(service.api, service)
    service.shift(2)
    await post_due(service)
    assert await status_of(service.api, added["id"]) == "disabled"


@pytest.mark.usefixtures("stopped_clock")
async def test_a_success_begins_the_three_days_again(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    for status in (500, 200, 500):
        receiver.status = status
        await approve(service.api, service)
        await post_due(service)
        service.shift(2 * 86400)
    await post_due(service)
    assert await status_of(service.api, added["id"]) == "active"


@pytest.mark.usefixtures("stopped_clock")
async def test_a_successful_test_begins_the_three_days_again(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    await approve(service.api, service)
    receiver.status = 500
    await post_due(service)
    service.shift(2 * 86400)
    receiver.status = 200
    assert (await service.api.call("POST", f"/v1/webhooks/{added['id']}/test")).json()["delivered"]
    receiver.status = 500
    await post_due(service)
    service.shift(2 * 86400)
    await post_due(service)
    assert await status_of(service.api, added["id"]) == "active"


async def test_a_replay_posts_the_same_again(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    await approve(service.api, service)
    await post_due(service)
    (shown,) = await deliveries(service.api, added["id"])
    answer = await service.api.call("POST", f"/v1/webhooks/{added['id']}/deliveries/{shown['id']}/replay")
    assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (202, "pending", 0)
    await post_due(service)
    first, second = receiver.events
    assert (first.id, first.body) == (second.id, second.body)
    other = await service.client("other")
    for path in (f"{added['id']}/deliveries/{shown['id']}/replay", f"{added['id']}/test", f"{added['id']}/secret"):
        assert (await other.call("POST", f"/v1/webhooks/{path}")).status_code == 404


@pytest.mark.usefixtures("stopped_clock")
async def test_for_a_day_both_secrets_sign(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    renewed = (await service.api.call("POST", f"/v1/webhooks/{added['id']}/secret")).json()["secret"]
    assert renewed != added["secret"]
    await approve(service.api, service)
    await post_due(service)
    (event,) = receiver.events
    assert event.verify(renewed) == event.verify(added["secret"])
    service.shift(86401)
    await approve(service.api, service)
    await post_due(service)
    assert len(receiver.events[1].headers["webhook-signature"].split(" ")) == 1


async def test_a_second_change_of_the_secret_ends_the_first_former_one(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    path = f"/v1/webhooks/{added['id']}"
    second, third = [(await service.api.call("POST", f"{path}/secret")).json()["secret"] for _ in range(2)]
    assert (await service.api.call("POST", f"{path}/test")).json()["delivered"]
    (event,) = receiver.events
    assert event.verify(second) == event.verify(third)
    with pytest.raises(WebhookVerificationError):
        event.verify(added["secret"])


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_an_event_whose_process_died_is_posted_when_its_lease_ends(service: Service, receiver: Receiver) -> None:
    await add(service.api, receiver.url)
    await approve(service.api, service)

    def claim(tx: sa.Connection) -> Any:
        now = service.ctx.clock.now()
        return queue.claim(tx, now, lease_until=now + delivery.LEASE_SECONDS, limit=1)

    (claimed,) = await service.ctx.database.write(claim)
    await post_due(service)
    assert receiver.events == []
    service.shift(delivery.LEASE_SECONDS + 1)
    await retention.sweep(service.ctx)
    await delivery._deliver(service.ctx, lambda _: {}, claimed)
    assert receiver.events == [], "who was held up for too long posts nothing"
    await post_due(service)
    assert receiver.types == ["verification.approved"]


async def test_a_receiver_that_hangs_holds_up_no_other(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CONCURRENCY", 2)
    hanging = [service.api, *[await service.client(f"hangs-{number}") for number in range(3)]]
    other, real, released = await service.client("other"), service.ctx.webhooks.post, asyncio.Event()
    for api in hanging:
        await add(api, f"{receiver.url}/hangs")
    await add(other, f"{receiver.url}/quick")
    hang = 0

    async def post(url: str, *more: Any) -> Posted:
        nonlocal hang
        if url.endswith("hangs"):
            hang += 1
            if hang == len(hanging):
                for _ in range(3):
                    await approve(other, service)
            await released.wait()
            return Posted(None, "timeout")
        posted = await real(url, *more)
        if len(receiver.events) == 3:
            released.set()
        return posted

    monkeypatch.setattr(service.ctx.webhooks, "post", post)
    for api in hanging:
        for _ in range(2):
            await approve(api, service)
    async with asyncio.timeout(60):
        await post_due(service)
    assert [event.path for event in receiver.events] == ["/quick"] * 3


async def test_receivers_of_one_client_that_hang_leave_most_of_the_places(service: Service, receiver: Receiver) -> None:
    other = await service.client("other")
    for number in range(10):
        await add(service.api, f"{receiver.url}/{number}")
    added = await add(other, receiver.url)
    for _ in range(4):
        await approve(service.api, service)
    held: list[str] = []

    def claim(tx: sa.Connection) -> list[str]:
        now, limit = service.ctx.clock.now(), delivery.CONCURRENCY - len(held)
        return [row.webhook_id for row in queue.claim(tx, now, lease_until=now + 60, limit=limit)]

    held += await service.ctx.database.write(claim)
    held += await service.ctx.database.write(claim)
    assert (len(held), len(set(held))) == (math.ceil(delivery.CONCURRENCY / 5), 10)
    for _ in range(3):
        await approve(other, service)
    assert await service.ctx.database.write(claim) == [added["id"]] * 3


@pytest.mark.parametrize("hanging", [1, 2, 5, 50, 500])
def test_however_many_clients_have_receivers_that_hang_another_one_has_a_place(hanging: int) -> None:
    free = delivery.CONCURRENCY
    for _ in range(hanging):
        taken = queue.places_of_client(free, 0)
        assert queue.places_of_client(free - taken, taken) == 0, "a second look takes no more"
        free -= taken
    assert queue.places_of_client(free, 0) >= 1


async def test_a_deleted_webhook_and_one_of_a_revoked_client_get_nothing(service: Service, receiver: Receiver) -> None:
    other = await service.client("other")
    added = await add(service.api, receiver.url)
    await add(other, receiver.url)
    await approve(service.api, service)
    await approve(other, service)
    assert (await service.api.call("DELETE", f"/v1/webhooks/{added['id']}")).status_code == 204
    assert (await service.api.call("GET", f"/v1/webhooks/{added['id']}")).status_code == 404
    assert (await service.api.call("GET", "/v1/webhooks")).json() == {"webhooks": []}
    await clients.revoke(service.ctx.database, service.ctx.clock, "other")
    await post_due(service)
    await retention.sweep(service.ctx)
    assert receiver.events == []
    assert [row["status"] for row in await rows(service, webhook_deliveries)] == ["failed"] * 2


async def test_no_transaction_is_open_while_a_post_runs(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(service.api, receiver.url)
    await approve(service.api, service)
    now_open, real, held = open_transactions(service.ctx.database.engine), service.ctx.webhooks.post, list[int]()

    async def post(*more: Any) -> Posted:
        held.append(now_open())
        return await real(*more)

    monkeypatch.setattr(service.ctx.webhooks, "post", post)
    await post_due(service)
    assert held == [0]


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_the_number_of_an_event_is_kept_until_it_is_delivered_then_a_day(
    service: Service, receiver: Receiver
) -> None:
    await add(service.api, receiver.url)
    receiver.status = 500
    started = await approve(service.api, service)
    await post_due(service)
    service.shift(1.5 * 86400)
    for _ in range(2):
        await retention.sweep(service.ctx)
    receiver.status = 200
    await post_due(service)
    assert receiver.events[-1].data["to"] == started["to"]
    service.shift(86401)
    await retention.sweep(service.ctx)
    assert [row["number_id"] for row in await rows(service, webhook_deliveries)] == [None]
    service.shift(30 * 86400)
    await retention.sweep(service.ctx)
    assert await rows(service, webhook_deliveries) == []


async def test_a_rewrap_moves_the_secrets(service: Service, receiver: Receiver) -> None:
    added = await add(service.api, receiver.url)
    renewed = (await service.api.call("POST", f"/v1/webhooks/{added['id']}/secret")).json()["secret"]
    ctx, new = service.ctx, generate_key_entry()
    vault = Vault(parse_secret_keys(f"{new},{SECRET_KEYS}"))
    await rotation.rewrap(ctx.database, vault, ctx.clock, lambda _: None)
    (old_use,) = [use for use in await rotation.status(ctx.database, vault) if use.key_id in SECRET_KEYS]
    assert not old_use.needed
    assert renewed.startswith("whsec_")
