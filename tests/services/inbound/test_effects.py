"""Whose text it is: a sender counts in any spelling of its number, and a STOP is never dropped in silence."""

import pytest
from prometheus_client import REGISTRY
from structlog.testing import CapturingLogger

from otp_service.gateways.base import InboundMessage
from otp_service.services.inbound import effects
from otp_service.services.notifications import outbox
from otp_service.storage.tables import notifications, numbers
from tests.support.people import begin, hears, look, rows, source_of
from tests.support.service import Service, new_number, serving
from tests.support.vendor import Vendor

SPELLINGS = [
    ("+5491123456789", "541123456789"),
    ("+525512345678", "5215512345678"),
    ("+5511987654321", "551187654321"),
    ("+2290197123456", "22997123456"),
    ("+573001234567", "00573001234567"),
    ("+573001234567", "57 300 123-4567"),
    ("+447911123456", "4407911123456"),
]


async def lists(service: Service, monkeypatch: pytest.MonkeyPatch, *texts: InboundMessage) -> None:
    """The gateway lists these texts, the oldest first, and the service looks."""

    async def page(number: int, *_: object) -> list[InboundMessage]:
        return list(texts[::-1]) if number == 1 else []

    monkeypatch.setattr(service.ctx.gateway, "inbound", page)
    await look(service)


@pytest.mark.parametrize(("e164", "written"), SPELLINGS)
async def test_stop_and_start_count_in_any_spelling(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, e164: str, written: str
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        await service.api.start(e164)
        await lists(service, monkeypatch, InboundMessage(written, "1", "STOP", "1"))
        assert (await service.api.try_start(e164, session="s")).json()["code"] == "opted_out"
        await lists(
            service, monkeypatch, InboundMessage(written, "1", "STOP", "1"), InboundMessage(written, "1", "START", "2")
        )
        assert await source_of(service, e164) is None


@pytest.mark.parametrize(("e164", "written"), SPELLINGS[:6])
async def test_a_phrase_and_a_callback_count_in_any_spelling(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, e164: str, written: str
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        claimed = await service.api.start(e164, channel="inbound")
        await lists(service, monkeypatch, InboundMessage(written, "1", claimed["inbound"]["text"], "1"))
        assert (await service.api.read(claimed["id"]))["status"] == "approved"
        await hears(service, written, "STOP")
        assert await source_of(service, e164) == "user"


async def test_a_number_without_calling_code_is_one_of_a_country_served(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor, countries="CO,PK") as service:
        await begin(service)
        colombia, pakistan = "+573001234567", "+923001234567"
        claimed = await service.api.start(colombia, channel="inbound")
        await lists(
            service,
            monkeypatch,
            InboundMessage("3001234567", "1", claimed["inbound"]["text"], "1"),
            InboundMessage("3001234567", "1", "HELP", "2"),
            InboundMessage("3001234567", "1", "STOP", "3"),
        )
        assert (await service.api.read(claimed["id"]))["status"] == "pending", "it can be a phone of either country"
        assert await rows(service, notifications) == []
        assert await source_of(service, colombia) == "user"
        assert await source_of(service, pakistan) is None, "nothing was ever sent there"


async def test_a_stop_before_the_first_message_holds_for_every_spelling(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        await lists(service, monkeypatch, InboundMessage("541123456789", "1", "STOP", "1"))
        assert (await service.api.try_start("+5491123456789")).json()["code"] == "opted_out"


def unmatched(source: str) -> float:
    return REGISTRY.get_sample_value("otp_inbound_total", {"kind": "stop_without_number", "source": source}) or 0.0


@pytest.mark.parametrize("sender", ["", "CLARO", "12345", "+12345678", "3001234567"])
async def test_a_stop_of_nobody_that_we_know_is_logged_and_counted(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        before, by_callback = unmatched("list"), unmatched("callback")
        logged = CapturingLogger()
        monkeypatch.setattr(effects, "log", logged)
        await lists(service, monkeypatch, InboundMessage(sender, "1", "STOP", "1"))
        await hears(service, sender, "STOP")
        assert (unmatched("list"), unmatched("callback")) == (before + 1, by_callback + 1)
        assert [(call.method_name, call.args) for call in logged.calls] == [("warning", ("stop_without_number",))] * 2
        assert not sender or sender not in str(logged.calls)
        assert await rows(service, numbers) == []


async def test_an_older_text_changes_nothing_that_a_newer_one_decided(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        stopped, lifted = new_number(), new_number()
        await lists(
            service,
            monkeypatch,
            InboundMessage(lifted, "1", "STOP", "a", sent_at=10.0),
            InboundMessage(lifted, "1", "START", "b", sent_at=20.0),
            InboundMessage(stopped, "1", "STOP", "c", sent_at=20.0),
        )
        await lists(
            service,
            monkeypatch,
            InboundMessage(lifted, "1", "STOP", "d", sent_at=10.0),
            InboundMessage(stopped, "1", "START", "e", sent_at=10.0),
        )
        assert (await source_of(service, lifted), await source_of(service, stopped)) == (None, "user")
        await lists(service, monkeypatch, InboundMessage(stopped, "1", "START", "f", sent_at=30.0))
        assert await source_of(service, stopped) is None


async def test_a_reply_goes_to_the_number_that_we_send_to(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        await lists(service, monkeypatch, InboundMessage("541123456780", "1", "HELP", "1"))
        await outbox.work(service.ctx)
        assert len(vendor.messages("+5491123456780")) == 1


@pytest.mark.parametrize(("countries", "source"), [("CO", None), ("CO,PK", "user")])
async def test_a_start_lifts_an_opt_out_only_if_its_sender_fits_one_country(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, countries: str, source: str | None
) -> None:
    async with serving(migrated, vendor, countries=countries) as service:
        await begin(service)
        await service.api.start("+573001234567")
        stop, start = InboundMessage("3001234567", "1", "STOP", "1"), InboundMessage("3001234567", "1", "START", "2")
        await lists(service, monkeypatch, stop)
        assert await source_of(service, "+573001234567") == "user"
        await lists(service, monkeypatch, stop, start)
        assert await source_of(service, "+573001234567") == source


async def test_the_policys_own_keywords_opt_out_opt_in_and_ask_for_help(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbound = {"stop_words": ["Leave me"], "start_words": {"es": ["Vuelvo"]}, "help_words": {"es": ["Socorro"]}}
    async with serving(migrated, vendor, {"inbound": inbound}) as service:
        await begin(service)
        to, asking, by_callback = new_number(), new_number(), new_number()
        stop = InboundMessage(to, "1", "leave me!", "1")
        await lists(service, monkeypatch, stop, InboundMessage(asking, "1", "SOCORRO", "2"))
        assert await source_of(service, to) == "user"
        await hears(service, by_callback, "Leave me")
        assert await source_of(service, by_callback) == "user"
        await outbox.work(service.ctx)
        assert len(vendor.messages(asking)) == 1
        await lists(service, monkeypatch, stop, InboundMessage(to, "1", "vuelvo", "3"))
        assert await source_of(service, to) is None
