"""What people text us has its effect once: however the list is read, by whom, and whoever dies meanwhile."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from otp_service import clock
from otp_service.gateways.base import InboundMessage, NoReply
from otp_service.services.inbound import reader
from otp_service.services.notifications import outbox
from otp_service.services.operations import rotation
from otp_service.services.opt_outs import opt_outs as operators
from otp_service.storage.inbound_cursor import HURRIED_SECONDS
from otp_service.storage.tables import buckets, inbound_cursor, notifications, numbers, opt_outs
from otp_service.vault import generate_key_entry
from tests.support.patience import PATIENCE
from tests.support.people import begin, hears, look, opt_out, rows, source_of, tells, texts, try_opt_out
from tests.support.service import SECRET_KEYS, Service, new_number, serving
from tests.support.vendor import Vendor

EVERY = 5


async def cursor(service: Service) -> dict[str, Any]:
    """The row of the cursor."""
    (row,) = await rows(service, inbound_cursor)
    return row


async def test_texts_act_in_the_order_in_which_they_were_sent(service: Service) -> None:
    to, other = new_number(), new_number()
    service.vendor.mos([(to, "STOP"), (other, "START"), (to, "START"), (other, "STOP")], callback=False)
    await look(service)
    assert (await source_of(service, to), await source_of(service, other)) == (None, "user")
    await reader.poll(service.ctx)
    assert (await source_of(service, to), await source_of(service, other)) == (None, "user")


@pytest.mark.usefixtures("stopped_clock")
async def test_the_list_is_read_only_when_it_is_time_or_a_callback_came(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at = clock.elapsed()
    monkeypatch.setattr(clock, "elapsed", lambda: stopped_at)
    await begin(service)
    to = new_number()
    service.vendor.mo(to, "STOP", callback=False)
    await reader.poll(service.ctx)
    service.shift(EVERY - 2)
    await reader.poll(service.ctx)
    assert await source_of(service, to) is None
    await hears(service, new_number(), "whatever")
    assert service.ctx.wakes.inbound.is_set()
    await reader.poll(service.ctx)
    assert await source_of(service, to) == "user"
    for _ in range(5):
        await hears(service, new_number(), "whatever")
        await reader.poll(service.ctx)
    assert (await cursor(service))["due_at"] == service.ctx.clock.now() + HURRIED_SECONDS


@pytest.mark.long
async def test_ten_thousand_texts_act_once_each_while_others_arrive(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [new_number() for _ in range(500)]
    async with serving(database_url, vendor) as service:
        await begin(service)
        # Every other person says STOP first and START last: who is read out of order, or not at all, shows.
        vendor.mos([(to, "STOP") for to in people[::2]] + [(to, "START") for to in people[1::2]], callback=False)
        vendor.mos([(people[at % 500], f"text {at}") for at in range(9_000)], callback=False)
        vendor.mos([(to, "START") for to in people[::2]] + [(to, "STOP") for to in people[1::2]], callback=False)
        late, real, pages = [new_number() for _ in range(150)], service.ctx.gateway.inbound, 0

        async def meanwhile(page: int, size: int, timeout: float) -> Any:
            nonlocal pages
            pages += 1
            vendor.mo(late[page - 1], "STOP", callback=False)
            return await real(page, size, timeout)

        with monkeypatch.context() as patched:
            patched.setattr(service.ctx.gateway, "inbound", meanwhile)
            await look(service)
        assert pages >= 95
        version = (await cursor(service))["version"]
        assert version >= 9_500 / reader.BATCH
        await look(service)
        await look(service)
        out = {row["number_id"] for row in await rows(service, opt_outs) if row["opted_out"]}
        assert len(out) == len(people[1::2]) + pages
        assert (await cursor(service))["version"] - version <= 150 / reader.BATCH + 4
        assert len(await rows(service, inbound_cursor)) == 1


async def test_a_process_that_dies_between_two_batches_leaves_the_rest_to_the_next(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor) as one, serving(database_url, vendor) as two:
        await begin(one)
        people = [new_number() for _ in range(230)]
        vendor.mos([(to, "HELP") for to in people], callback=False)
        real, batches = reader._apply_batch, 0

        async def dies(*arguments: Any) -> bool:
            nonlocal batches
            batches += 1
            if batches == 3:
                raise asyncio.CancelledError
            return await real(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(reader, "_apply_batch", dies)
            with pytest.raises(asyncio.CancelledError):
                await look(one)
        assert len(await rows(one, notifications)) == 2 * reader.BATCH
        two.shift(10 * EVERY)
        await look(two)
        assert len(await rows(one, notifications)) == 230


async def test_what_a_batch_did_is_undone_with_its_cursor(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor) as service:
        await begin(service)
        before = await cursor(service)
        to = new_number()
        vendor.mos([(to, "STOP"), (new_number(), "HELP")], callback=False)

        def breaks(*_: Any, **__: Any) -> None:
            raise RuntimeError

        with monkeypatch.context() as patched:
            patched.setattr("otp_service.services.inbound.effects.notifications.queue_reply", breaks)
            with pytest.raises(RuntimeError):
                await look(service)
        assert await source_of(service, to) is None
        assert (await cursor(service))["version"] == before["version"]
        await look(service)
        assert await source_of(service, to) == "user"


async def test_two_replicas_that_read_at_once_do_nothing_twice(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor) as one, serving(database_url, vendor) as two:
        await begin(one)
        people = [new_number() for _ in range(160)]
        vendor.mos([(to, "HELP") for to in people], callback=False)
        real = reader._apply
        has_read, both = asyncio.Event(), asyncio.Barrier(2)

        async def together(*arguments: Any) -> None:
            has_read.set()
            await both.wait()
            await real(*arguments)

        monkeypatch.setattr(reader, "_apply", together)
        # The second one's clock is ahead: it begins although the first is under way.
        two.shift(20 * EVERY)
        async with asyncio.timeout(PATIENCE):
            first = asyncio.create_task(look(one))
            await has_read.wait()
            await asyncio.gather(first, look(two))
        queued = await rows(one, notifications)
        assert len(queued) == len({row["number_id"] for row in queued}) == 160


async def test_of_many_replicas_one_reads(database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(database_url, vendor) as one, serving(database_url, vendor) as two:
        calls: list[int] = []
        for service in (one, two):

            async def counted(page: int, *rest: Any, real: Any = service.ctx.gateway.inbound) -> Any:
                calls.append(page)
                return await real(page, *rest)

            monkeypatch.setattr(service.ctx.gateway, "inbound", counted)
        await asyncio.gather(*(reader.poll(each.ctx) for each in (one, two) * 5))
        assert calls == [1]


@pytest.mark.parametrize(
    "fault",
    ["bad_signature", "entity_bomb"]
    + [pytest.param(fault, marks=pytest.mark.long) for fault in ("refuse", "html", "reset_before", "empty")],
)
async def test_a_list_that_cannot_be_read_has_no_effect(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(reader, "PAGE", 20)
    async with serving(migrated, vendor) as service:
        await begin(service)
        before, people = await cursor(service), [new_number() for _ in range(30)]
        vendor.mos([(to, "STOP") for to in people], callback=False)
        vendor.fail("mo", "slow", seconds=0)
        vendor.fail("mo", fault, times=None)
        await look(service)
        vendor.recover()
        after = await cursor(service)
        assert (after["version"], after["recent"]) == (before["version"], before["recent"])
        assert await rows(service, opt_outs) == []
        await look(service)
        await look(service)
        assert len(await rows(service, opt_outs)) == 30


async def test_a_text_that_shows_late_among_known_ones_counts_and_history_does_not(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        people = [new_number() for _ in range(12)]
        listed = [InboundMessage(to, service.ctx.sender, "hello", f"10:{at:02d}") for at, to in enumerate(people)]
        late, old = (
            InboundMessage(new_number(), "1", "STOP", "10:05"),
            InboundMessage(new_number(), "1", "STOP", "09:00"),
        )

        async def page(*_: Any) -> list[InboundMessage]:
            return listed[::-1]

        monkeypatch.setattr(service.ctx.gateway, "inbound", page)
        await look(service)
        listed[6:6] = [late, late]
        listed[0:0] = [old]
        await look(service)
        await look(service)
        assert await source_of(service, late.sender) == "user"
        assert await source_of(service, old.sender) is None


async def test_the_other_form_of_the_date_makes_no_text_new(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor) as service:
        await begin(service)
        lifted, stopped = new_number(), new_number()
        await texts(service, lifted, "STOP")
        await texts(service, stopped, "START", "HELP", "STOP")
        ctx = service.ctx
        assert await operators.lift(ctx.database, ctx.vault, ctx.clock, "", lifted)
        before = await cursor(service)
        real = ctx.gateway.inbound

        async def iso(*arguments: Any) -> Any:
            found = await real(*arguments)
            assert not isinstance(found, NoReply)
            return [replace(each, sent=each.sent.replace(" ", "T") + "-05:00") for each in found]

        monkeypatch.setattr(ctx.gateway, "inbound", iso)
        service.shift(86400)
        await look(service)
        assert (await source_of(service, lifted), await source_of(service, stopped)) == (None, "user")
        assert len(await rows(service, notifications)) == 1
        assert (await cursor(service))["version"] == before["version"]


async def test_a_text_that_a_former_release_knew_by_its_date_as_written_is_known(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        listed = [InboundMessage("573001234567", "1", "hello", "2014-10-13T10:30:51.922-0500")]

        async def page(number: int, *_: Any) -> list[InboundMessage]:
            return listed if number == 1 else []

        monkeypatch.setattr(service.ctx.gateway, "inbound", page)
        await look(service)
        version = (await cursor(service))["version"]
        listed[0] = replace(listed[0], sent_at=1413196251.922)
        await look(service)
        await look(service)
        assert (await cursor(service))["version"] == version + 1, "its fingerprint alone was renewed"


async def test_a_page_that_fails_is_read_again_without_those_before_it(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        people, real, calls = [new_number() for _ in range(50)], service.ctx.gateway.inbound, list[int]()
        vendor.mos([(to, "STOP") for to in people], callback=False)

        async def fails_often(page: int, size: int, timeout: float) -> Any:
            calls.append(page)
            return NoReply("timeout") if page > 1 and len(calls) % 4 else await real(page, size, timeout)

        monkeypatch.setattr(service.ctx.gateway, "inbound", fails_often)
        monkeypatch.setattr(reader, "PAUSE_SECONDS", 0)
        monkeypatch.setattr(reader, "PAGE", 20)
        await look(service)
        assert calls == [1, 2, 2, 2, 3, 3, 3, 3]
        assert len(await rows(service, opt_outs)) == 50


async def test_pages_that_are_smaller_than_asked_for_are_read_to_the_end(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        real, people = service.ctx.gateway.inbound, [new_number() for _ in range(130)]

        async def bounded(page: int, _: int, timeout: float) -> Any:
            return await real(page, 20, timeout)

        monkeypatch.setattr(service.ctx.gateway, "inbound", bounded)
        for these in (people[:50], people[50:55], people[55:]):
            vendor.mos([(to, "STOP") for to in these], callback=False)
            await look(service)
        assert len(await rows(service, opt_outs)) == 130


async def test_after_a_long_look_the_next_one_comes_as_soon_as_ever(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PAGE", 20)
    await begin(service)
    service.vendor.mos([(new_number(), "STOP") for _ in range(50)], callback=False)
    await look(service)
    to = new_number()
    service.vendor.mo(to, "STOP", callback=False)
    service.shift(EVERY)
    await reader.poll(service.ctx)
    assert await source_of(service, to) == "user"


async def test_a_new_secret_key_repeats_nothing(migrated: str, vendor: Vendor) -> None:
    to, new_key = new_number(), generate_key_entry()
    async with serving(migrated, vendor) as service:
        await begin(service)
        await texts(service, to, "STOP")
        await texts(service, to, "START")
        await opt_out(service.api, "add", to)
        await look(service)
    async with serving(migrated, vendor, secret_keys=f"{new_key},{SECRET_KEYS}") as service:
        service.shift(100)
        await look(service)
        assert await source_of(service, to) == "client"
        assert SECRET_KEYS.partition(":")[0] not in (await cursor(service))["recent"]
    async with serving(migrated, vendor, secret_keys=new_key) as service:
        service.shift(200)
        version = (await cursor(service))["version"]
        await look(service)
        assert (await cursor(service))["version"] == version


async def test_the_first_look_takes_stops_but_answers_nobody_and_lifts_no_opt_out_of_a_client(service: Service) -> None:
    to, other, clients = new_number(), new_number(), new_number()
    await opt_out(service.api, "add", clients)
    service.vendor.mos([(to, "STOP"), (other, "STOP"), (clients, "START"), (other, "START"), (to, "HELP")])
    await look(service)
    found = [await source_of(service, each) for each in (to, other, clients)]
    assert found == ["user", None, "client"]
    assert await rows(service, notifications) == []


async def test_help_is_answered_in_its_language_once_a_day_to_whom_we_may_send(
    database_url: str, vendor: Vendor
) -> None:
    config = {"inbound": {"help": {"en": "Write to example.com.", "es": "Escribe a example.com."}}}
    async with serving(database_url, vendor, config, countries="CO") as service:
        await begin(service)
        to, stopped, abroad, other = new_number(), new_number(), "+12015550187", new_number()
        await texts(service, stopped, "STOP", "HELP")
        await texts(service, abroad, "HELP")
        await texts(service, other, "AJUDA")
        await hears(service, other, "HELP")
        await texts(service, to, "¿Ayuda?", "HELP", "info")
        assert service.ctx.wakes.outbox.is_set()
        await outbox.work(service.ctx)
        assert [message["text"] for message in vendor.messages(to)] == ["Escribe a example.com."]
        assert [vendor.messages(each) for each in (stopped, abroad, other)] == [[], [], []]
        service.shift(86400)
        await texts(service, to, "HELP")
        await outbox.work(service.ctx)
        assert len(vendor.messages(to)) == 2
        assert len(await rows(service, buckets)) == 1


async def test_a_stop_is_confirmed_once_in_its_language_if_the_policy_says_so(
    database_url: str, vendor: Vendor
) -> None:
    config = {"inbound": {"stop_confirmation": {"en": "You are out.", "es": "Te diste de baja."}}}
    async with serving(database_url, vendor, config) as service:
        await begin(service)
        to, called, clients = new_number(), new_number(), new_number()
        await texts(service, to, "BAJA", "BAJA")
        await hears(service, called, "STOP")
        await texts(service, called, "STOP")
        await opt_out(service.api, "add", clients)
        await tells(service)
        await look(service)
        await outbox.work(service.ctx)
        await texts(service, to, "STOP")
        await outbox.work(service.ctx)
        assert [message["text"] for message in vendor.messages(to)] == ["Te diste de baja."]
        assert [message["text"] for message in vendor.messages(called)] == ["You are out."]
        assert vendor.messages(clients) == []
        service.shift(90_000)
        await texts(service, to, "STOP")
        await texts(service, to, "START", "STOP")
        await outbox.work(service.ctx)
        assert len(vendor.messages(to)) == 2


async def test_nothing_is_kept_of_what_people_write(service: Service) -> None:
    await begin(service)
    to = new_number()
    before = await rows(service, numbers)
    await texts(service, to, "hello there", "START")
    await texts(service, "+1", "STOP")
    await texts(service, "12345", "STOP")
    await texts(service, to, "\x00" * 50, "x" * 5000)
    assert await rows(service, numbers) == before
    assert "hello" not in str(await rows(service, inbound_cursor))


async def test_a_stop_by_callback_acts_at_once_and_a_start_when_the_list_shows_it(service: Service) -> None:
    await begin(service)
    to = new_number()
    await hears(service, to, "Stop!")
    assert (await try_opt_out(service.api, "remove", to)).json()["code"] == "user_opted_out"
    await hears(service, to, "START")
    assert await source_of(service, to) == "user", "anybody who knows the address can have written it"
    await texts(service, to, "Stop!", "START")
    assert await source_of(service, to) is None


async def test_without_the_list_stop_and_start_act_by_callback(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, {"inbound": {"poll_every": 0}}) as service:
        to = new_number()
        await hears(service, to, "STOP")
        assert await source_of(service, to) == "user"
        await hears(service, to, "START")
        assert await source_of(service, to) is None


async def test_the_first_text_on_a_list_that_was_empty_is_no_history(service: Service) -> None:
    await look(service)
    to = new_number()
    await opt_out(service.api, "add", to)
    await texts(service, new_number(), "HELP")
    await texts(service, to, "START")
    assert len(await rows(service, notifications)) == 1
    assert await source_of(service, to) is None


async def test_a_first_look_that_was_cut_short_leaves_the_rest_as_history(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor) as service:
        vendor.mos([(new_number(), "HELP") for _ in range(120)], callback=False)
        real = reader._apply_batch

        async def dies(*arguments: Any) -> bool:
            await real(*arguments)
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr(reader, "_apply_batch", dies)
            with pytest.raises(asyncio.CancelledError):
                await look(service)
        service.shift(60)
        await look(service)
        await look(service)
        assert await rows(service, notifications) == []


async def test_a_start_that_shows_late_beneath_a_newer_stop_lifts_nothing(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        to = new_number()
        listed = [InboundMessage(new_number(), "1", "hello", "1"), InboundMessage(to, "1", "STOP", "3")]

        async def page(number: int, *_: Any) -> list[InboundMessage]:
            return listed[::-1] if number == 1 else []

        monkeypatch.setattr(service.ctx.gateway, "inbound", page)
        await look(service)
        listed[1:1] = [InboundMessage(to, "1", "START", "2")]
        await look(service)
        assert await source_of(service, to) == "user"


async def test_a_text_that_makes_a_page_unreadable_holds_back_nobody_else(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        people, real, calls = [new_number() for _ in range(130)], service.ctx.gateway.inbound, 0
        vendor.mos([(to, "STOP") for to in people], callback=False)

        async def odd(page: int, size: int, timeout: float) -> Any:
            nonlocal calls
            calls += 1
            holds_it = (page - 1) * size <= 37 < page * size
            return NoReply("unreadable") if holds_it else await real(page, size, timeout)

        monkeypatch.setattr(service.ctx.gateway, "inbound", odd)
        await look(service)
        assert len(await rows(service, opt_outs)) == 129
        assert calls < 30


async def test_after_a_rotation_one_look_frees_the_list_of_the_old_key(migrated: str, vendor: Vendor) -> None:
    new_key = generate_key_entry()
    async with serving(migrated, vendor) as service:
        vendor.mos([(new_number(), "hello") for _ in range(250)], callback=False)
        await look(service)
    async with serving(migrated, vendor, secret_keys=f"{new_key},{SECRET_KEYS}") as service:
        uses = {use.key_id: use for use in await rotation.status(service.ctx.database, service.ctx.vault)}
        assert uses[SECRET_KEYS.partition(":")[0]].messages
        service.shift(60)
        await look(service)
        await rotation.rewrap(service.ctx.database, service.ctx.vault, service.ctx.clock, lambda _: None)
        uses = {use.key_id: use for use in await rotation.status(service.ctx.database, service.ctx.vault)}
        assert not uses[SECRET_KEYS.partition(":")[0]].needed


async def test_doubled_and_late_callbacks_change_nothing_that_the_list_showed(service: Service) -> None:
    await begin(service)
    to = new_number()
    await texts(service, to, "STOP", "START")
    for _ in range(3):
        await hears(service, to, "STOP")
        service.shift(3600)
    assert await source_of(service, to) is None
    await texts(service, to, "STOP")
    await hears(service, to, "START")
    assert await source_of(service, to) == "user"


async def test_a_callback_of_a_number_that_cannot_be_one_does_nothing(service: Service) -> None:
    for sender in ("", "+1", "12345", "+870123456789", "STOP"):
        await hears(service, sender, "STOP")
    assert await rows(service, numbers) == []
