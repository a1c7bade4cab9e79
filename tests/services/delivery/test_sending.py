"""A send is repeated only where surely nothing left, and at once or never."""

import asyncio

import pytest

from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.services.delivery import sending
from tests.support.servers import bare_server, free_port
from tests.support.service import CARRIER, new_number, serving
from tests.support.vendor import Vendor

REFUSED_AT_THE_DOOR = Sent(Outcome.REFUSED, "not_connected", passing=True)


def message() -> Message:
    return Message(new_number(), "a text", CARRIER)


async def test_where_no_connection_was_made_it_is_tried_once_more(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        to, real, tried = message(), service.ctx.gateway.send_sms, 0

        async def fails_first(sent: Message, timeout: float) -> Sent:
            nonlocal tried
            tried += 1
            return REFUSED_AT_THE_DOOR if tried == 1 else await real(sent, timeout)

        monkeypatch.setattr(service.ctx.gateway, "send_sms", fails_first)
        sent = await sending.send(service.ctx, "sms", to, 5.0)
        assert (sent.outcome, tried, len(vendor.messages(to.to))) == (Outcome.ACCEPTED, 2, 1)


async def test_where_nothing_listens_it_is_tried_twice_and_no_more(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor, ogangi_base_url=f"http://127.0.0.1:{free_port()}/mmc") as service:
        real, tried = service.ctx.gateway.send_mt, 0

        async def counted(sent: Message, timeout: float) -> Sent:
            nonlocal tried
            tried += 1
            return await real(sent, timeout)

        monkeypatch.setattr(service.ctx.gateway, "send_mt", counted)
        sent = await sending.send(service.ctx, "mt", message(), 5.0)
        assert (sent.outcome, sent.reason, tried) == (Outcome.REFUSED, "not_connected", 2)


async def test_what_left_is_never_repeated(migrated: str, vendor: Vendor) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with (
        bare_server(hang_up) as bare,
        serving(migrated, vendor, ogangi_base_url=f"{bare.base_url}/mmc") as service,
    ):
        for route in ("pin", "sms", "mt"):
            sent = await sending.send(service.ctx, route, message(), 5.0, pin_length=6)
            assert sent.outcome is Outcome.UNKNOWN
        assert len(bare.heads) == 3
