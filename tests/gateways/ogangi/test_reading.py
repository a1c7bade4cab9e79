"""The calls that only read, and the one that tells the platform something: against the simulator, and against lies."""

import time

import pytest

from otp_service.gateways.base import InboundMessage, Message, NoReply, Outcome, Receipt, Sent
from otp_service.gateways.ogangi.client import OgangiGateway
from tests.gateways.ogangi.conftest import GatewayTo
from tests.gateways.ogangi.vectors import CARRIER, SENDER
from tests.gateways.ogangi.wire import answering, http
from tests.support.patience import PATIENCE
from tests.support.servers import free_port
from tests.support.vendor import Vendor

TO = "+13056708084"
OTHER = "+13056708085"
REPORTED = "+13056708086"


def ok(result: str) -> bytes:
    return http(f"<response><status>OK</status>{result}</response>".encode())


def reported(message_id: str, to: str = TO) -> str:
    return f"<message><id>{message_id}</id><to>{to[1:]}</to><text>a</text><status>READ</status></message>"


def page(*messages: str) -> bytes:
    return ok(f"<result><messages><records>9</records>{''.join(messages)}</messages></result>")


@pytest.fixture
def empty(vendor: Vendor) -> Vendor:
    """The simulator to which nobody has texted yet."""
    vendor.reset()
    return vendor


async def test_what_people_text_is_listed_newest_first_page_by_page(empty: Vendor, gateway: OgangiGateway) -> None:
    for text in ("one", "two", "thrée \x01"):
        empty.mo(TO, text)
    first, second, third = [await gateway.inbound(at, 2, PATIENCE) for at in (1, 2, 3)]
    assert not isinstance(first, NoReply)
    assert not isinstance(second, NoReply)
    assert [(each.sender, each.to, each.text) for each in first] == [
        (TO.removeprefix("+"), SENDER, "thrée \ufffd"),
        (TO.removeprefix("+"), SENDER, "two"),
    ]
    assert [each.text for each in second] == ["one"]
    assert all(each.sent for each in (*first, *second))
    assert third == []


async def test_a_message_tells_its_fate_by_its_id(vendor: Vendor, gateway: OgangiGateway) -> None:
    sent = await gateway.send_sms(Message(TO, "Acme", CARRIER), PATIENCE)
    assert sent.message_id is not None
    assert await gateway.receipt(sent.message_id, PATIENCE) == Receipt(sent.message_id, "sent", to=TO[1:], text="Acme")
    vendor.set_status(TO, "UNDELIV")
    assert await gateway.receipt(sent.message_id, PATIENCE) == Receipt(
        sent.message_id, "undelivered", to=TO[1:], text="Acme"
    )
    assert await gateway.receipt("12", PATIENCE) == NoReply("error")
    assert await gateway.receipt("a/b", PATIENCE) == NoReply("bad_segment")


async def test_a_message_with_another_id_is_no_answer(gateway_to: GatewayTo) -> None:
    async with answering(ok(f"<result>{reported('-82')}</result>")) as bare:
        assert await gateway_to(bare.base_url).receipt("-81", PATIENCE) == NoReply("no_result")


async def test_a_report_finds_the_messages_to_a_number_in_a_time(vendor: Vendor, gateway: OgangiGateway) -> None:
    since = time.time()
    sent = await gateway.send_pin(Message(REPORTED, "PIN {0}", CARRIER), 6, PATIENCE)
    await gateway.send_mt(Message(OTHER, "not this one"), PATIENCE)
    vendor.set_status(REPORTED, "DELIVERED_TO_DEVICE")
    found = await gateway.report(REPORTED, since - 1, time.time() + 1, PATIENCE)
    assert not isinstance(found, NoReply)
    assert [(each.status, each.to, each.text) for each in found] == [("delivered", REPORTED[1:], f"PIN {sent.pin}")]
    assert await gateway.report(REPORTED, since - 3600, since - 1800, PATIENCE) == []


async def test_a_report_leaves_out_what_it_was_not_asked_for(gateway_to: GatewayTo) -> None:
    odd = "<message><id>-83</id></message>"
    async with answering(page(reported("-81"), reported("-82", OTHER), odd)) as bare:
        found = await gateway_to(bare.base_url).report(TO, 0, 1, PATIENCE)
    assert found == [Receipt("-81", "delivered", to=TO[1:], text="a")]
    assert len(bare.heads) == 1


async def test_a_report_finds_a_number_however_it_is_written(gateway_to: GatewayTo) -> None:
    for to, written in (("+5491123456789", "541123456789"), ("+573001234567", "+57 300 123 4567")):
        async with answering(page(reported("-81", f" {written}"), reported("-82", OTHER))) as bare:
            found = await gateway_to(bare.base_url).report(to, 0, 1, PATIENCE)
        assert found == [Receipt("-81", "delivered", to=written, text="a")]


async def test_a_report_is_read_to_its_end_but_not_for_ever(gateway_to: GatewayTo) -> None:
    full = page(*[reported("-81")] * 100)
    async with answering(full, page(reported("-82"))) as bare:
        found = await gateway_to(bare.base_url).report(TO, 0, 1, PATIENCE)
        assert not isinstance(found, NoReply)
        assert (len(found), len(bare.heads)) == (101, 2)
    async with answering(full) as bare:
        found = await gateway_to(bare.base_url).report(TO, 0, 1, PATIENCE)
        assert not isinstance(found, NoReply)
        assert (len(found), len(bare.heads)) == (500, 5)


async def test_a_report_with_a_page_that_fails_is_none(gateway_to: GatewayTo) -> None:
    async with answering(page(*[reported("-81")] * 100), http(b"", status="500 Oops")) as bare:
        assert await gateway_to(bare.base_url).report(TO, 0, 1, PATIENCE) == NoReply("http_500")


async def test_the_vendors_own_blacklist_is_asked(vendor: Vendor, gateway: OgangiGateway) -> None:
    assert await gateway.is_blacklisted(TO, PATIENCE) is False
    vendor.blacklist(TO)
    assert await gateway.is_blacklisted(TO, PATIENCE) is True
    assert await gateway.is_blacklisted("no number", PATIENCE) == NoReply("bad_segment")


async def test_telling_the_campaign_is_not_sending(vendor: Vendor, gateway: OgangiGateway) -> None:
    before = len(vendor.messages())
    assert await gateway.send_keyword(TO, "STOP", PATIENCE) == Sent(Outcome.ACCEPTED, "ok")
    assert (vendor.fired()[0]["to"], vendor.fired()[0]["text"]) == (TO, "STOP")
    assert len(vendor.messages()) == before


@pytest.mark.parametrize(
    ("answer", "outcome", "reason", "passing"),
    [
        (ok(""), Outcome.UNKNOWN, "no_result", False),
        (http(b"<status>ERROR</status>"), Outcome.REFUSED, "error", True),
        (http(b"<status>BAD_SIGNATURE</status>"), Outcome.REFUSED, "bad_signature", True),
        (http(b"", status="404 None"), Outcome.REFUSED, "http_404", False),
        (http(b"", status="503 Busy"), Outcome.REFUSED, "http_503", True),
        (http(b"", status="500 Oops"), Outcome.UNKNOWN, "http_500", False),
        (http(b"<html>"), Outcome.UNKNOWN, "unreadable", False),
        (b"", Outcome.UNKNOWN, "connection_lost", False),
    ],
    ids=range(8),
)
async def test_telling_has_the_outcomes_of_a_send(
    gateway_to: GatewayTo, answer: bytes, outcome: Outcome, reason: str, passing: bool
) -> None:
    async with answering(answer) as bare:
        assert await gateway_to(bare.base_url).send_keyword(TO, "STOP", PATIENCE) == Sent(
            outcome, reason, passing=passing
        )
        assert len(bare.heads) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(b"<status>OK</status>"), "no_result"),
        (http(b"<status>ERROR</status>"), "error"),
        (http(b"<status>BAD_SIGNATURE</status>"), "bad_signature"),
        (http(b"", status="500 Oops"), "http_500"),
        (http(b"<html>"), "unreadable"),
        (b"", "connection_lost"),
    ],
    ids=range(6),
)
async def test_a_call_that_brings_nothing_says_why(gateway_to: GatewayTo, answer: bytes, reason: str) -> None:
    async with answering(answer) as bare:
        gateway = gateway_to(bare.base_url)
        brought: list[object] = [
            await gateway.inbound(1, 100, PATIENCE),
            await gateway.receipt("-81", PATIENCE),
            await gateway.report(TO, 0, 1, PATIENCE),
            await gateway.is_blacklisted(TO, PATIENCE),
        ]
    assert brought == [NoReply(reason)] * 4


async def test_no_connection_and_no_time_are_no_reply(gateway_to: GatewayTo) -> None:
    gateway = gateway_to(f"http://127.0.0.1:{free_port()}")
    assert await gateway.inbound(1, 100, PATIENCE) == NoReply("not_connected")
    assert isinstance(await gateway.report(TO, 0, 1, -1), NoReply)


@pytest.mark.parametrize(
    ("statuses", "outcome", "reason", "passing"),
    [
        (["NOT_ENOUGH_FUNDS"], Outcome.REFUSED, "message_failed", True),
        (["NOT SENT", "NOT_ENOUGH_FUNDS"], Outcome.REFUSED, "message_failed", True),
        (["BAD_TO"], Outcome.REFUSED, "message_failed", False),
        (["NOT_SENT", "UNDELIVERED"], Outcome.REFUSED, "message_failed", False),
        (["NOT_SENT", "SENT"], Outcome.UNKNOWN, "some_messages_failed", False),
        (["CARRIER GATEWAY ERROR"], Outcome.ACCEPTED, "ok", False),
    ],
    ids=lambda each: "+".join(each) if isinstance(each, list) else None,
)
async def test_a_failed_message_is_taken_later_only_where_its_cause_can_pass(
    gateway_to: GatewayTo, statuses: list[str], outcome: Outcome, reason: str, passing: bool
) -> None:
    messages = "".join(f"<message><id>-81</id><status>{status}</status></message>" for status in statuses)
    async with answering(ok(f"<result><messages>{messages}</messages></result>")) as bare:
        sent = await gateway_to(bare.base_url).send_sms(Message(TO, "x", CARRIER), PATIENCE)
    assert sent == Sent(outcome, reason, message_id="-81", passing=passing)


async def test_a_page_keeps_its_length_whatever_stands_in_it(gateway_to: GatewayTo) -> None:
    one = "<MOMessage><text>STOP</text><from>+13056708084</from><to>12345</to><sendDate/></MOMessage>"
    async with answering(ok(f"<result><MOMessageList><MOMessage/>{one}</MOMessageList></result>")) as bare:
        found = await gateway_to(bare.base_url).inbound(1, 2, PATIENCE)
    assert found == [InboundMessage(sender="", to="", text=""), InboundMessage(sender=TO, to="12345", text="STOP")]
