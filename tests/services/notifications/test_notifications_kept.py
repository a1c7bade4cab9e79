"""What is kept of notifications, for how long, and under which key; and what keeps a number."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.services.notifications import outbox
from otp_service.services.operations import retention, rotation
from otp_service.storage import numbers, tables
from otp_service.vault import generate_key_entry
from tests.support.notifications import get, opt_out, post, row
from tests.support.service import Api, Service, new_number, serving
from tests.support.vendor import Vendor

DAY = 86400


async def test_the_database_alone_tells_neither_number_nor_text(service: Service) -> None:
    to, text = new_number(), "A text that nobody else should read"
    queued = await post(service.api, to, text=text)
    kept = str(await row(service, queued["id"]))
    assert to[1:] not in kept
    assert text not in kept
    await outbox.work(service.ctx)
    sent = await row(service, queued["id"])
    assert sent.text_sealed is None
    assert sent.number_masked == f"+57******{to[-4:]}"


async def test_time_wipes_the_number_after_a_day_and_the_row_after_a_year(service: Service) -> None:
    to = new_number()
    queued = await post(service.api, to, text="Hello")
    await outbox.work(service.ctx)
    sent = await row(service, queued["id"])
    assert None not in (sent.number_id, sent.message_sealed, sent.message_digest, sent.poll_at)
    service.shift(DAY)
    assert (await retention.sweep(service.ctx))["notifications_without_number"] == 1
    kept = await row(service, queued["id"])
    assert [kept.number_id, kept.message_sealed, kept.message_digest, kept.poll_at] == [None] * 4
    assert (await get(service.api, queued["id"]))["to"] is None
    service.shift(366 * DAY)
    assert (await retention.sweep(service.ctx))["notifications"] == 1
    assert (await service.api.call("GET", f"/v1/notifications/{queued['id']}")).status_code == 404


async def sealed_numbers(service: Service, to: str) -> list[Any]:
    statement = sa.select(tables.numbers.c.sealed).where(
        tables.numbers.c.digest.in_(service.ctx.vault.digests(to).values())
    )
    return list(await service.ctx.database.read(lambda tx: tx.execute(statement).scalars().all()))


async def test_a_number_stays_while_something_needs_it(service: Service) -> None:
    waiting, out, lifted, told = (new_number() for _ in range(4))
    await post(service.api, waiting, text="Hello")
    await opt_out(service, out)
    await opt_out(service, lifted, opted_out=False)
    await opt_out(service, told, opted_out=False)
    await fire(service, told)
    service.shift(40 * DAY)
    for _ in range(2):
        await retention.sweep(service.ctx)
        service.shift(40 * DAY)
    for to in (waiting, out, told):
        assert None not in await sealed_numbers(service, to)
    assert await sealed_numbers(service, lifted) == [], "with its opt-out, which says nothing any more"
    await outbox.work(service.ctx)
    await service.ctx.database.write(
        lambda tx: tx.execute(sa.update(tables.campaign_messages).values(outcome="accepted"))
    )
    for _ in range(3):
        service.shift(40 * DAY)
        await retention.sweep(service.ctx)
    assert await sealed_numbers(service, told) == []
    assert None not in await sealed_numbers(service, out)


async def fire(service: Service, to: str) -> None:
    """A word about a number that the campaign platform is still to be told."""

    def step(tx: Connection) -> None:
        now, number_id = service.ctx.clock.now(), numbers.find_id(tx, service.ctx.vault, to)
        values = {"number_id": number_id, "keyword": "START", "created_at": now, "due_at": now, "tries": 0}
        tx.execute(sa.insert(tables.campaign_messages).values(**values))

    await service.ctx.database.write(step)


async def test_a_new_secret_key_takes_the_waiting_texts_over(database_url: str, vendor: Vendor) -> None:
    old, new = generate_key_entry(), generate_key_entry()
    to, lost_to = new_number(), new_number()
    async with serving(database_url, vendor, secret_keys=old) as service:
        await post(service.api, to, text="Hello")
        key = service.api.api_key
    async with serving(database_url, vendor, secret_keys=f"{new},{old}") as service:
        ctx = service.ctx
        assert await rotation.rewrap(ctx.database, ctx.vault, ctx.clock, lambda _: None) == 2, "a number and a text"
        uses = {use.key_id: use for use in await rotation.status(ctx.database, ctx.vault)}
        assert (uses[ctx.vault.key_ids[0]].messages, uses[ctx.vault.key_ids[1]].needed) == (1, False)
    async with serving(database_url, vendor, secret_keys=new) as service:
        await outbox.work(service.ctx)
        assert len(vendor.messages(to)) == 1
        lost = await post(Api(service.http, key), lost_to, text="Hello")
    async with serving(database_url, vendor, secret_keys=old) as service:
        await outbox.work(service.ctx)
        assert vendor.messages(lost_to) == []
        shown = await get(Api(service.http, key), lost["id"])
        assert (shown["status"], shown["reason"], shown["to"]) == ("failed", "unreadable", None)
