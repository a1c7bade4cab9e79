"""Messages whose id the vendor never told: a receipt is theirs where nothing else can be meant, and not otherwise."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from otp_service.gateways.base import Receipt
from otp_service.services.delivery import receipts
from otp_service.storage import tables
from tests.support.receipts import config, receipt_of
from tests.support.service import Service, new_number, serving
from tests.support.vendor import Vendor

ROUTES = ["pin", "mt"]


@pytest.fixture(params=ROUTES)
async def sending(request: pytest.FixtureRequest, database_url: str, vendor: Vendor) -> AsyncIterator[Service]:
    """The service with one route that tells no id."""
    async with serving(database_url, vendor, config(routes=[request.param])) as service:
        yield service


async def statuses(service: Service) -> list[str]:
    """What all verifications show, oldest first."""
    v = tables.verifications.c
    statement = sa.select(v.delivery_status).order_by(v.created_at)
    return list(await service.ctx.database.read(lambda tx: tx.execute(statement).scalars()))


async def note(service: Service, receipt: Receipt, **changes: Any) -> None:
    """A callback, with something about it changed."""
    await receipts.record(service.ctx, replace(receipt, **changes), "callback")


async def test_the_only_message_to_a_number_is_known_by_its_text(sending: Service) -> None:
    started = await sending.api.start(locale="es")
    receipt = receipt_of(sending.vendor, started["to"], "SENT_TO_CARRIER")
    await note(sending, receipt)
    assert await statuses(sending) == ["sent"]
    await note(sending, receipt, status="delivered", to=None, text=None)
    assert await statuses(sending) == ["delivered"], "its id is known from the first receipt on"


async def test_no_digit_of_the_pin_decides_whether_a_receipt_is_taken(sending: Service) -> None:
    started = await sending.api.start()
    receipt = receipt_of(sending.vendor, started["to"], "DELIVRD")
    pin = sending.pin(started["to"])
    assert receipt.text is not None
    await note(sending, receipt, text=receipt.text.replace(pin, pin[::-1][1:] + "0"))
    assert await statuses(sending) == ["delivered"]


async def test_of_two_messages_neither_is_known(sending: Service) -> None:
    started = await sending.api.start()
    assert (await sending.api.resend(started["id"])).status_code == 200
    await note(sending, receipt_of(sending.vendor, started["to"], "DELIVRD"))
    assert await statuses(sending) == ["sent"]


async def test_a_message_whose_id_is_known_leaves_the_other_certain(sending: Service) -> None:
    started = await sending.api.start()
    await note(sending, receipt_of(sending.vendor, started["to"], "SENT"))
    assert (await sending.api.resend(started["id"])).status_code == 200
    await note(sending, receipt_of(sending.vendor, started["to"], "DELIVRD"))
    assert await statuses(sending) == ["delivered"]


async def test_a_message_in_flight_makes_another_uncertain(sending: Service) -> None:
    started = await sending.api.start()
    flying = {"verification_id": started["id"], "route": "mt", "started_at": sending.ctx.clock.now()}
    await sending.ctx.database.write(lambda tx: tx.execute(sa.insert(tables.sends).values(flying)))
    await note(sending, receipt_of(sending.vendor, started["to"], "DELIVRD"))
    assert await statuses(sending) == ["sent"]


SPELLINGS = {
    "+5491123456789": ["541123456789", "+54 9 11 2345-6789", "005491123456789"],
    "+525512345678": ["5215512345678"],
    "+5511987654321": ["551187654321"],
    "+573001234567": ["573001234567", "00573001234567", "+57 300 123 4567", "3001234567"],
}
"""Numbers that we send to, and how the gateway may write them."""


@pytest.mark.parametrize(("to", "written"), [(to, each) for to, all_of_it in SPELLINGS.items() for each in all_of_it])
async def test_a_number_is_known_however_the_gateway_writes_it(
    migrated: str, vendor: Vendor, to: str, written: str
) -> None:
    async with serving(migrated, vendor, config(routes=["mt"]), countries="AR,BR,CO,MX") as service:
        await service.api.start(to)
        await note(service, receipt_of(vendor, to, "DELIVRD"), to=written)
        assert await statuses(service) == ["delivered"]


UNLIKE: dict[str, dict[str, Any]] = {
    "another number": {"to": "+573009999999"},
    "no number": {"to": None},
    "no text": {"text": None},
    "another text": {"text": "Acme: 123456"},
    "another purpose": {"text": "Example: PIN to sign in (valid 10 min, do not share it): 123456"},
    "a longer PIN": {"text": "Example: PIN to sign up (valid 10 min, do not share it): 1234567"},
    "other digits": {"text": "Example: PIN to sign up (valid 10 min, do not share it): 12345\u0666"},
    "a line more": {"text": "Example: PIN to sign up (valid 10 min, do not share it): 123456\n"},
}


async def test_what_is_unlike_the_message_is_not_about_it(sending: Service) -> None:
    started = await sending.api.start()
    receipt = receipt_of(sending.vendor, started["to"], "DELIVRD")
    for name, changes in UNLIKE.items():
        await note(sending, receipt, **changes)
        assert await statuses(sending) == ["sent"], name
    await note(sending, receipt)
    assert await statuses(sending) == ["delivered"]


async def test_after_seven_hours_a_message_is_not_matched_any_more(sending: Service) -> None:
    started = await sending.api.start()
    sending.shift(7 * 3600 + 1)
    await note(sending, receipt_of(sending.vendor, started["to"], "DELIVRD"))
    assert await statuses(sending) == ["sent"]


async def test_a_message_that_was_refused_is_no_candidate(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(routes=ROUTES)) as service:
        vendor.fail("pin", "refuse")
        started = await service.api.start()
        assert started["delivery"]["route"] == "mt"
        await note(service, receipt_of(vendor, started["to"], "DELIVRD"))
        assert await statuses(service) == ["delivered"]


async def test_an_unknown_send_by_another_route_makes_a_message_uncertain(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(routes=["sms", "pin"]), ogangi_timeout=2.0) as service:
        vendor.fail("sms", "unknown")
        started = await service.api.start()
        vendor.fail("sms", "refuse")
        assert (await service.api.resend(started["id"])).json()["delivery"]["route"] == "pin"
        await note(service, receipt_of(vendor, started["to"], "DELIVRD"))
        assert await statuses(service) == ["sent"]


async def test_messages_to_others_do_not_matter(sending: Service) -> None:
    first, second = await sending.api.start(), await sending.api.start(new_number())
    await note(sending, receipt_of(sending.vendor, second["to"], "UNDELIV"))
    await note(sending, receipt_of(sending.vendor, first["to"], "DELIVRD"))
    assert await statuses(sending) == ["delivered", "undelivered"]
