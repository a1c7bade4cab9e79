"""The outbox: each message once, in whatever way its call ends."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from otp_service.gateways.base import Message, Sent
from otp_service.observability import logs
from otp_service.observability.metrics import NOTIFICATIONS
from otp_service.services.clients import clients
from otp_service.services.delivery import lease_worker
from otp_service.services.notifications import outbox
from otp_service.services.operations import retention
from otp_service.storage import tables
from otp_service.storage.queues import notifications as queue
from tests.support.notifications import get, opt_out, post, row
from tests.support.service import Api, Service, new_number, serving
from tests.support.statements import open_transactions
from tests.support.vendor import Vendor

n = tables.notifications.c


async def tries(service: Service) -> list[int]:
    """How often each notification was tried, in order."""
    statement = sa.select(n.tries).order_by(n.tries)
    return list(await service.ctx.database.read(lambda tx: tx.execute(statement).scalars().all()))


async def claim(service: Service, limit: int = 16) -> list[Any]:
    """Claims what is due, as a process does."""

    def step(tx: sa.Connection) -> list[Any]:
        now = service.ctx.clock.now()
        return list(queue.claim(tx, now, lease_until=lease_worker.lease_until(service.ctx, now), limit=limit))

    return await service.ctx.database.write(step)


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_what_is_refused_for_a_passing_cause_is_tried_again_ever_later(service: Service) -> None:
    to = new_number()
    queued = await post(service.api, to, text="Hello")
    service.vendor.fail("sms", "http_503", times=3)
    for pause in (5, 10, 20):
        await outbox.work(service.ctx)
        shown = await get(service.api, queued["id"])
        assert (shown["status"], shown["reason"]) == ("queued", "http_503")
        service.shift(pause - 1)
        await outbox.work(service.ctx)
        service.shift(1)
    assert service.vendor.messages(to) == []
    await outbox.work(service.ctx)
    assert (await get(service.api, queued["id"]))["status"] == "sent"
    assert await tries(service) == [4]
    assert len(service.vendor.messages(to)) == 1


def test_a_try_waits_for_ten_minutes_at_the_most() -> None:
    assert [lease_worker.retry_seconds(tries) for tries in (1, 2, 7, 8, 5000)] == [5, 10, 320, 600, 600]


@pytest.mark.usefixtures("stopped_clock")
async def test_it_gives_up_when_it_has_tried_for_long_enough(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"notifications": {"keep_trying": 12}}) as service:
        queued = await post(service.api, new_number(), text="Hello")
        vendor.fail("sms", "refuse", times=None)
        await outbox.work(service.ctx)
        for _ in range(2):  # the last try comes just before its time is over
            service.shift(5)
            await outbox.work(service.ctx)
        failed = await get(service.api, queued["id"])
        assert (failed["status"], failed["reason"]) == ("failed", "error")
        assert (await row(service, queued["id"])).text_sealed is None


async def test_what_waited_too_long_is_not_sent_any_more(service: Service) -> None:
    to = new_number()
    queued = await post(service.api, to, text="Hello")
    service.shift(86401)
    await outbox.work(service.ctx)
    failed = await get(service.api, queued["id"])
    assert (failed["status"], failed["reason"], failed["route"]) == ("failed", "too_late", None)
    assert service.vendor.messages(to) == []


async def test_a_refusal_that_will_not_pass_ends_it(service: Service) -> None:
    queued = await post(service.api, new_number(), text="Hello")
    service.vendor.fail("sms", "http_404")
    await outbox.work(service.ctx)
    failed = await get(service.api, queued["id"])
    assert (failed["status"], failed["reason"], failed["route"]) == ("failed", "http_404", "sms")


@pytest.mark.parametrize("fault", ["unknown", "reset_after", "reset_before", "slow", "empty", "html", "malformed"])
async def test_an_unknown_outcome_is_never_repeated(migrated: str, vendor: Vendor, fault: str) -> None:
    async with serving(migrated, vendor, ogangi_timeout=1) as service:
        to = new_number()
        queued = await post(service.api, to, text="Hello")
        vendor.fail("sms", fault, seconds=2)
        for _ in range(3):
            await outbox.work(service.ctx)
            await retention.sweep(service.ctx)
            service.shift(3600)
        unknown = await get(service.api, queued["id"])
        assert (unknown["status"], unknown["sent_at"]) == ("unknown", None)
        assert unknown["reason"]
        assert len(vendor.messages(to)) <= 1
        assert (await row(service, queued["id"])).text_sealed is None


async def test_it_goes_by_sms_where_a_carrier_is_known_else_by_mt(migrated: str, vendor: Vendor) -> None:
    config = {"carriers": {"57": "Tigo"}}
    async with serving(migrated, vendor, config, ogangi_carrier=None) as service:
        by_prefix, by_none, given = new_number(), "+12125550123", "+12125550124"
        for to, fields in ((by_prefix, {}), (by_none, {}), (given, {"carrier": "Claro"})):
            await post(service.api, to, text="Hello", **fields)
        await outbox.work(service.ctx)
        found = {to: vendor.messages(to)[0]["method"] for to in (by_prefix, by_none, given)}
    assert found == {by_prefix: "sendSMS", by_none: "sendMT", given: "sendSMS"}


async def test_a_message_that_was_claimed_for_a_number_that_opted_out_is_not_sent(service: Service) -> None:
    to = new_number()
    queued = await post(service.api, to, text="Hello")
    await opt_out(service, to)
    await outbox.work(service.ctx)
    failed = await get(service.api, queued["id"])
    assert (failed["status"], failed["reason"]) == ("failed", "opted_out")
    assert service.vendor.messages(to) == []


async def test_a_message_of_a_client_that_was_revoked_is_not_sent(service: Service) -> None:
    to, other = new_number(), await service.client("other")
    revoked = await post(other, to, text="Hello")
    await clients.revoke(service.ctx.database, service.ctx.clock, "other")
    await outbox.work(service.ctx)
    failed = await row(service, revoked["id"])
    assert (failed.status, failed.reason, failed.text_sealed) == ("failed", "client_revoked", None)
    assert service.vendor.messages(to) == []


async def test_a_message_to_a_country_that_is_no_longer_served_is_not_sent(migrated: str, vendor: Vendor) -> None:
    colombian, american = new_number(), "+12125550123"
    async with serving(migrated, vendor) as service:
        queued = [await post(service.api, to, text="Hello") for to in (colombian, american)]
        key = service.api.api_key
    async with serving(migrated, vendor, countries="US") as service:
        await outbox.work(service.ctx)
        shown = [await get(Api(service.http, key), each["id"]) for each in queued]
    assert [(each["status"], each["reason"]) for each in shown] == [("failed", "country_not_allowed"), ("sent", None)]
    assert vendor.messages(colombian) == []


@pytest.mark.both_databases
async def test_clients_take_turns_however_many_messages_one_of_them_has(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as service:
        big, small = service.api, await service.client("small")
        many = [(await post(big, new_number(), text="Hello"))["id"] for _ in range(20)]
        few = [(await post(small, new_number(), text="Hello"))["id"] for _ in range(5)]

        async def of_small(limit: int) -> list[bool]:
            return [each.id in few for each in await claim(service, limit)]

        assert sum(await of_small(4)) == 2
        assert await of_small(1) + await of_small(1) == [False, True], "who has fewer in progress comes next"
        assert sum(await of_small(16)) == 2
        assert sum(await of_small(16)) == 0
        assert {each.id for each in await claim(service)} == set()
        assert await tries(service) == [1] * len(many + few)


async def test_a_gateway_that_is_down_is_not_asked_for_the_whole_queue(service: Service) -> None:
    await asyncio.gather(*(post(service.api, new_number(), text="Hello") for _ in range(60)))
    service.vendor.fail("sms", "http_503", times=None)
    await outbox.work(service.ctx)
    found = await tries(service)
    assert found.count(0) >= 60 - 3 * outbox.CONCURRENCY
    service.vendor.recover()
    for _ in range(60):
        service.shift(31)
        await outbox.work(service.ctx)
    statement = sa.select(n.status).distinct()
    assert list(await service.ctx.database.read(lambda tx: tx.execute(statement).scalars().all())) == ["sent"]


@pytest.mark.both_databases
@pytest.mark.long
async def test_several_processes_send_each_message_once(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as one, serving(database_url, vendor) as other:
        numbers = [new_number() for _ in range(60)]
        apis = [one.api, Api(other.http, one.api.api_key)]
        await asyncio.gather(*(post(apis[at % 2], to, text=f"to {to}") for at, to in enumerate(numbers)))
        # A call of a busy machine must not look like one that nobody answers.
        patient = [replace(each.ctx, gateway_timeout=60.0) for each in (one, other)]
        await asyncio.gather(*(outbox.work(ctx) for ctx in patient * 2))
        came = Counter(message["text"] for message in vendor.messages() if message["to"] in numbers)
        assert came == Counter(f"to {to}" for to in numbers)
        assert await tries(one) == [1] * len(numbers)


async def test_a_slow_call_holds_up_no_other(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, *others = [new_number() for _ in range(3 * outbox.CONCURRENCY)]
    for to in (slow, *others):
        await post(service.api, to, text="Hello")
    ended, others_ended, real = list[str](), asyncio.Event(), service.ctx.gateway.send_sms

    async def sends(message: Message, timeout: float) -> Sent:
        if message.to == slow:
            await others_ended.wait()
        sent = await real(message, timeout)
        ended.append(message.to)
        if len(ended) == len(others):
            others_ended.set()
        return sent

    monkeypatch.setattr(service.ctx.gateway, "send_sms", sends)
    await outbox.work(service.ctx)
    assert sorted(ended[:-1]) == sorted(others)
    assert ended[-1] == slow


@pytest.mark.parametrize("cut", [False, True], ids=["asked", "cut"])
async def test_a_process_that_ends_waits_for_what_is_under_way(service: Service, cut: bool) -> None:
    to = new_number()
    queued = await post(service.api, to, text="Hello")
    service.vendor.fail("sms", "slow", seconds=1)
    working = asyncio.create_task(outbox.work(service.ctx))
    await service.vendor.delivered(to)
    other = await post(service.api, new_number(), text="Hello")
    if cut:
        working.cancel()
    else:
        service.ctx.wakes.stopping.set()
    await asyncio.gather(working, return_exceptions=True)
    assert (await get(service.api, queued["id"]))["status"] == "sent"
    assert (await get(service.api, other["id"]))["status"] == "queued", "nothing new is taken up"


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_a_claim_whose_process_died_becomes_unknown_and_its_late_end_changes_nothing(service: Service) -> None:
    ctx, to = service.ctx, new_number()
    queued = await post(service.api, to, text="Hello")
    (claimed,) = await claim(service)
    assert (await get(service.api, queued["id"]))["status"] == "queued", "as far as anybody outside can tell"
    assert await claim(service) == []
    service.shift(15)
    assert "abandoned" not in await retention.sweep(ctx)
    service.shift(2)
    assert (await retention.sweep(ctx))["abandoned"] == 1
    await outbox._send(ctx, claimed)
    unknown = await get(service.api, queued["id"])
    assert (unknown["status"], unknown["reason"], unknown["sent_at"]) == ("unknown", "abandoned", None)
    assert (await row(service, queued["id"])).text_sealed is None
    await outbox.work(ctx)
    assert service.vendor.messages(to) == [], "who was held up for too long does not send what was given up"


@pytest.mark.both_databases
async def test_a_settled_claim_is_settled_once(service: Service) -> None:
    ctx = service.ctx
    queued = await post(service.api, new_number(), text="Hello")
    (claimed,) = await claim(service)
    values = queue.ended("sent", reason=None, now=ctx.clock.now())

    async def settle(tries: int) -> bool:
        return await ctx.database.write(lambda tx: queue.settle(tx, queued["id"], tries, values))

    assert not await settle(claimed.tries + 1)
    assert await settle(claimed.tries)
    assert not await settle(claimed.tries)


async def test_nothing_is_written_while_nothing_is_due(service: Service) -> None:
    await post(service.api, new_number(), text="Hello")
    await outbox.work(service.ctx)
    statements: list[str] = []

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    sa.event.listen(service.ctx.database.engine, "before_cursor_execute", executed)
    await outbox.work(service.ctx)
    assert [each.split()[0] for each in statements if not each.startswith("BEGIN")] == ["SELECT"]


async def test_no_transaction_is_open_while_the_gateway_works(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_open, real = open_transactions(service.ctx.database.engine), service.ctx.gateway.send_sms
    held: list[int] = []

    async def watched(*args: Any) -> Any:
        held.append(now_open())
        result = await real(*args)
        held.append(now_open())
        return result

    monkeypatch.setattr(service.ctx.gateway, "send_sms", watched)
    await post(service.api, new_number(), text="Hello")
    await outbox.work(service.ctx)
    assert held == [0, 0]


async def test_what_became_of_it_is_counted_and_logged_without_number_or_text(service: Service) -> None:
    def counted(result: str) -> float:
        return float(NOTIFICATIONS.labels(result)._value.get())

    to = new_number()
    before = {result: counted(result) for result in ("queued", "retried", "sent", "failed", "unknown", "late")}
    queued = await post(service.api, to, text="A secret text")
    service.vendor.fail("sms", "http_503")
    logs.configure("info", "json")
    with capture_logs() as lines:
        await outbox.work(service.ctx)
        service.shift(6)
        await outbox.work(service.ctx)
    logs.configure("error", "json")
    assert {result: counted(result) - was for result, was in before.items()} == {
        **dict.fromkeys(("queued", "retried", "sent"), 1),
        **dict.fromkeys(("failed", "unknown", "late"), 0),
    }
    told = [line for line in lines if line["event"] == "notification"]
    assert [(line["notification"], line["result"], line["reason"]) for line in told] == [
        (queued["id"], "retried", "http_503"),
        (queued["id"], "sent", None),
    ]
    assert to[1:] not in str(lines)
    assert "secret" not in str(lines)
