"""No statement of the running service reads what is only in the way. All that run are looked at; none is listed."""

import asyncio
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from otp_service.services.delivery import receipts
from otp_service.services.factors import for_operator
from otp_service.services.guard.for_operator import export, history, status
from otp_service.services.notifications import outbox
from otp_service.services.operations import retention
from otp_service.services.opt_outs import campaign
from otp_service.storage import tables
from otp_service.storage.factors import factors, subjects
from tests.support import old_rows
from tests.support.every_factor_call import User, use_every_call
from tests.support.notifications import get, post
from tests.support.people import begin, opt_out, texts
from tests.support.reading import GROWING, Read, add_scans, reading
from tests.support.receipts import tell
from tests.support.receivers import LOOPBACK, add, deliveries, post_due
from tests.support.service import Service, new_number, serving, wrong
from tests.support.vendor import Vendor

pytestmark = pytest.mark.both_databases

OLD = 24_000
MOST_STEPS, MOST_ROWS = 2000, 60
"""Of one statement. A look at every hundredth of the old rows would be more."""
QUEUES = {"ix_notifications_due", "ix_notifications_poll_at", "ix_sends_poll_at"}
CONFIG: dict[str, Any] = {
    "purposes": {"signup": {"resend_after": [0]}, "texted": {"routes": ["sms"], "resend_after": [0]}},
    "limits": {"sends_per_client": "1000/hour", "pause_per_number": 30},
}


async def use_everything(service: Service) -> None:
    """Every call that a client or the gateway makes, and every loop."""
    api, to = service.api, new_number()
    await begin(service)
    await use_every_call(User(service, "stays"))  # without a webhook, which would get too many events at once
    hook = await add(api, "http://127.0.0.1:9009/")
    started = await api.start(to, user_ip="198.51.100.1", session="s")
    await api.start(to, user_ip="198.51.100.1", session="s")
    pin = service.pin(to)
    await api.check(started["id"], wrong(pin), session="s", to=to, purpose="signup")
    await api.check(started["id"], wrong(pin), session="s")
    await api.try_check(started["id"], pin, session="other")
    assert (await api.resend(started["id"])).status_code == 200
    assert await api.check(started["id"], service.pin(to), session="s") == "approved"
    assert await api.check(started["id"], service.pin(to), session="s") == "already_approved"
    await api.read(started["id"])
    await api.events(started["id"])
    await api.start(to, session="t")
    await api.start(new_number(), session="t")
    await api.cancel((await api.start())["id"])
    for wanted in ({"to": to}, {"subject": "old 7"}, {"reference": "old 7"}):
        page = (await api.call("POST", "/v1/verifications/search", {**wanted, "limit": 2})).json()
        if page["next_cursor"]:
            more = {**wanted, "limit": 2, "cursor": page["next_cursor"], "created_after": "2020-01-01T00:00:00Z"}
            assert (await api.call("POST", "/v1/verifications/search", more)).status_code == 200
    body = {"to": new_number(), "purpose": "signup"}
    for _ in range(2):
        await api.call("POST", "/v1/verifications", body, idempotency_key="k")
    service.vendor.fail("*", "refuse", times=None)
    await api.try_start(new_number())
    service.vendor.recover()
    await _what_comes_back(service)
    await _second_factors(service)
    for seconds in (0, 100, 700):
        service.shift(seconds)
        await post_due(service)
        await retention.round_of(service.ctx)
    (event, *_) = await deliveries(api, hook["id"])
    await api.call("POST", f"/v1/webhooks/{hook['id']}/deliveries/{event['id']}/replay")
    await api.call("POST", f"/v1/webhooks/{hook['id']}/secret")
    await api.call("DELETE", f"/v1/webhooks/{hook['id']}")
    await retention.sweep(service.ctx)
    await _guard_commands(service)
    await _as_twilio(service, new_number())
    await service.http.get("/readyz")


async def _second_factors(service: Service) -> None:
    """What erases subjects, what an operator does, and rows for the sweeps that follow."""
    client = await service.app.state.clients.client_of(service.api.api_key)
    for subject in ("gone", "idle", "new"):
        await User(service, subject).add_app()
    await service.api.call("DELETE", "/v1/subjects/gone")
    await for_operator.show(service.ctx.database, service.ctx.clock, client.name, "stays")
    await for_operator.unlock(service.ctx.database, client.name, "new")
    await service.ctx.database.write(partial(_age, client.id, service.ctx.clock.now() - 40 * 86400))


async def _guard_commands(service: Service) -> None:
    """What an operator reads of the guard. The times leave the old rows out."""
    ctx = service.ctx
    recent = ctx.clock.now() - 90
    await status.show(ctx.database, ctx.clock, ctx.policy.guard)
    async for _ in history.list_decisions(ctx.database, since=recent):
        pass
    await history.newest_of_number(ctx.database, ctx.vault, new_number(), recent)
    async for _ in export.export(ctx.database, since=recent, until=ctx.clock.now()):
        pass
    assert await status.first_at(ctx.database) is not None


def _age(client_id: str, long_ago: float, tx: sa.Connection) -> None:
    """Takes the factors of a subject away, and makes another one's failures and devices old."""
    idle, stays = (subjects.lock(tx, client_id, name, now=long_ago) for name in ("idle", "stays"))
    factors.delete_of_subject(tx, idle)
    subjects.record_use(tx, idle, long_ago)
    for table, column in ((tables.subject_failures, "last_at"), (tables.devices, "expires_at")):
        old = {column: long_ago} | ({"waits_until": 0} if column == "last_at" else {})
        assert tx.execute(sa.update(table).where(table.c.subject_id == stays).values(old)).rowcount > 0


async def _as_twilio(service: Service, to: str) -> None:
    client = await service.app.state.clients.client_of(service.api.api_key)
    assert client is not None
    auth = (client.id, service.api.api_key)
    path = "/v2/Services/signup/Verifications"
    started = await service.http.post(path, data={"To": to, "Channel": "sms"}, auth=auth)
    path = "/v2/Services/signup/VerificationCheck"
    checked = await service.http.post(path, data={"To": to, "Code": service.pin(to)}, auth=auth)
    assert (started.status_code, checked.json()["status"]) == (201, "approved")


async def _what_comes_back(service: Service) -> None:
    api, to, claimer = service.api, new_number(), new_number()
    await api.start(to, "texted")
    queued = await post(api, to, text="Hello")
    await outbox.work(service.ctx)
    await get(api, queued["id"])
    await tell(service, to, "DELIVERED_TO_DEVICE")
    waits = await api.start(claimer, channel="inbound")
    await texts(service, claimer, waits["inbound"]["text"], "HELP", "STOP", "START")
    assert (await api.read(waits["id"]))["status"] == "approved"
    for call in ("add", "lookup", "remove"):
        await opt_out(api, call, to)
    for seconds in (1, 30, 60):
        service.shift(seconds)
        await receipts.poll(service.ctx)
        await campaign.work(service.ctx)
        await outbox.work(service.ctx)


def analyze(url: sa.URL) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as tx:
        tx.execute(sa.text("ANALYZE")).close()
    engine.dispose()


async def read_by_everything(database_url: str, vendor: Vendor, *, analyzed: bool) -> list[Read]:
    """What each statement read, among old rows."""
    async with serving(database_url, vendor, CONFIG, webhook_networks=LOOPBACK) as service:
        database, now = service.ctx.database, service.ctx.clock.now()
        client_id = await database.read(lambda tx: str(tx.scalar(sa.select(tables.clients.c.id))))
        await asyncio.to_thread(old_rows.add, database.engine.url, client_id, now, 1, OLD, every=2)
        if analyzed:
            await asyncio.to_thread(analyze, database.engine.url)
        with reading(database.engine) as reads:
            await use_everything(service)
        add_scans(database.engine, reads)
        touched = {table for table in GROWING if any(table in read.statement for read in reads)}
        assert touched == GROWING
        return reads


def check(reads: list[Read], most_work: int) -> None:
    """The statements that fail, by themselves: they say what to mend."""
    assert {read.statement: read.scanned for read in reads if read.scanned} == {}
    assert {read.statement: read.work for read in reads if read.work > most_work} == {}


@pytest.mark.parametrize("analyzed", [pytest.param(True, marks=pytest.mark.long), False])
async def test_sqlite_reads_no_old_rows_with_statistics_or_without(
    migrated: str, vendor: Vendor, analyzed: bool
) -> None:
    check(await read_by_everything(migrated, vendor, analyzed=analyzed), MOST_STEPS)


@pytest.mark.long
async def test_postgresql_reads_no_old_rows_and_a_look_at_a_queue_no_table(new_postgres: str, vendor: Vendor) -> None:
    reads = await read_by_everything(new_postgres, vendor, analyzed=True)
    check(reads, MOST_ROWS)
    assert set().union(*(read.index_only for read in reads)) >= QUEUES
