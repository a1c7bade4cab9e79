"""The gateway against the simulated vendor: every method, every fault."""

import asyncio

import pytest

from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.gateways.ogangi.caller import Account
from otp_service.gateways.ogangi.client import OgangiGateway
from tests.gateways.ogangi.conftest import GatewayTo
from tests.gateways.ogangi.vectors import CARRIER, PRIVATE_KEY, SENDER
from tests.support.patience import PATIENCE
from tests.support.vendor import Vendor

MESSAGE = Message("+13056708084", "Acme: {0} es tu código ??>>", CARRIER)
TEXT = Message("+13056708084", "Acme: 482913 es tu código ??>>", CARRIER)
ROUTES = ["pin", "sms", "mt"]
HANGING_SECONDS = 4.0
"""The timeout of a call that is never answered: on a busy machine too, it is connected by then."""


async def send(gateway: OgangiGateway, route: str, timeout: float = PATIENCE) -> Sent:
    if route == "pin":
        return await gateway.send_pin(MESSAGE, 6, timeout)
    return await (gateway.send_sms if route == "sms" else gateway.send_mt)(TEXT, timeout)


@pytest.mark.parametrize("padding", [False, True])
async def test_the_pin_method_returns_the_pin_of_the_message(
    vendor: Vendor, gateway_to: GatewayTo, padding: bool
) -> None:
    sent = await gateway_to(vendor.base_url, padding=padding).send_pin(MESSAGE, 8, PATIENCE)
    delivered = vendor.messages()[0]
    assert (sent.outcome, sent.reason, sent.message_id) == (Outcome.ACCEPTED, "ok", None)
    assert sent.pin == delivered["pin"]
    assert delivered["text"] == f"Acme: {sent.pin} es tu código ??>>"
    assert (delivered["to"], delivered["from"]) == ("+13056708084", SENDER)


async def test_send_sms_returns_the_message_id(vendor: Vendor, gateway: OgangiGateway) -> None:
    sent = await gateway.send_sms(TEXT, PATIENCE)
    assert (sent.outcome, sent.reason, sent.pin) == (Outcome.ACCEPTED, "ok", None)
    assert sent.message_id is not None
    assert int(sent.message_id) < 0
    assert vendor.messages()[0]["text"] == TEXT.text


async def test_send_mt_needs_no_carrier(vendor: Vendor, gateway: OgangiGateway) -> None:
    sent = await gateway.send_mt(Message(TEXT.to, TEXT.text), PATIENCE)
    assert sent == Sent(Outcome.ACCEPTED, "ok")
    assert vendor.messages()[0]["method"] == "sendMT"


async def test_send_mt_with_flags_is_taken_too(vendor: Vendor, gateway_to: GatewayTo) -> None:
    sent = await gateway_to(vendor.base_url, mt_flags="a=1,b:2;c+d").send_mt(TEXT, PATIENCE)
    assert sent == Sent(Outcome.ACCEPTED, "ok")
    assert vendor.messages()[0]["text"] == TEXT.text


async def test_a_carrier_with_spaces_and_accents_is_signed_as_it_stands_in_the_url(gateway: OgangiGateway) -> None:
    for carrier in ("Tigo Une", "Télcel", "AT&T", "a;b=c", "~-_."):
        sent = await gateway.send_sms(Message(TEXT.to, TEXT.text, carrier), PATIENCE)
        assert (carrier, sent.reason) == (carrier, "ok")


FAULTS = {
    "refuse": (Outcome.REFUSED, "error"),
    "http_429": (Outcome.REFUSED, "http_429"),
    "bad_signature": (Outcome.REFUSED, "bad_signature"),
    "http_404": (Outcome.REFUSED, "http_404"),
    "http_503": (Outcome.REFUSED, "http_503"),
    "unknown": (Outcome.UNKNOWN, "http_500"),
    "redirect": (Outcome.UNKNOWN, "http_302"),
    "reset_before": (Outcome.UNKNOWN, "connection_lost"),
    "reset_after": (Outcome.UNKNOWN, "connection_lost"),
    "hang": (Outcome.UNKNOWN, "timeout"),
    "drip": (Outcome.UNKNOWN, "timeout"),
    "slow": (Outcome.UNKNOWN, "timeout"),
    "malformed": (Outcome.UNKNOWN, "unreadable"),
    "html": (Outcome.UNKNOWN, "unreadable"),
    "empty": (Outcome.UNKNOWN, "unreadable"),
    "doctype": (Outcome.UNKNOWN, "unreadable"),
    "entity_bomb": (Outcome.UNKNOWN, "unreadable"),
    "gzip_bomb": (Outcome.UNKNOWN, "unreadable"),
    "huge": (Outcome.UNKNOWN, "unreadable"),
    "deep": (Outcome.UNKNOWN, "unreadable"),
    "utf16": (Outcome.UNKNOWN, "unreadable"),
    "rootless": (Outcome.ACCEPTED, "ok"),
}
FAULTS_OF_ONE = {
    ("pin", "no_pin"): (Outcome.UNKNOWN, "no_pin"),
    ("pin", "two_pins"): (Outcome.UNKNOWN, "no_pin"),
    ("pin", "pin_elsewhere"): (Outcome.UNKNOWN, "no_pin"),
    ("pin", "short_pin"): (Outcome.UNKNOWN, "no_pin"),
    ("pin", "letters_pin"): (Outcome.UNKNOWN, "no_pin"),
    ("sms", "message_failed"): (Outcome.REFUSED, "message_failed"),
}
CASES = [(route, fault, *end) for route in ROUTES for fault, end in FAULTS.items()]
CASES += [(route, fault, *end) for (route, fault), end in FAULTS_OF_ONE.items()]


@pytest.mark.parametrize(("route", "fault", "outcome", "reason"), CASES)
async def test_every_fault_has_its_outcome(
    vendor: Vendor, gateway: OgangiGateway, route: str, fault: str, outcome: Outcome, reason: str
) -> None:
    before = len(vendor.messages())
    vendor.fail(route, fault, seconds=3600)
    sent = await send(gateway, route, timeout=HANGING_SECONDS if reason == "timeout" else PATIENCE)
    assert (sent.outcome, sent.reason) == (outcome, reason)
    assert sent.passing == (outcome is Outcome.REFUSED and fault != "http_404")
    assert (sent.pin is not None) == (route == "pin" and outcome is Outcome.ACCEPTED)
    delivered = len(vendor.messages()) - before
    assert delivered <= (0 if outcome is Outcome.REFUSED else 1)
    assert (await send(gateway, route)).outcome is Outcome.ACCEPTED


async def test_a_slow_answer_within_the_deadline_counts(vendor: Vendor, gateway: OgangiGateway) -> None:
    vendor.fail("pin", "slow", seconds=0.3)
    assert (await send(gateway, "pin")).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("route", ["pin", "sms"])
async def test_without_a_carrier_nothing_leaves(vendor: Vendor, gateway: OgangiGateway, route: str) -> None:
    before = vendor.messages()
    message = Message("+13056708084", "482913")
    sent = await (gateway.send_pin(message, 6, PATIENCE) if route == "pin" else gateway.send_sms(message, PATIENCE))
    assert sent == Sent(Outcome.REFUSED, "no_carrier")
    assert vendor.messages() == before


@pytest.mark.parametrize("bad", ["a/b", "..", ".", "", "a?b", "a#b", "a%2Fb", "a\r\nb", "a\\b", "null\x00"])
async def test_what_is_not_one_segment_is_refused(vendor: Vendor, gateway_to: GatewayTo, bad: str) -> None:
    before = vendor.messages()
    gateway, ill = gateway_to(vendor.base_url), gateway_to(vendor.base_url, sender=bad)
    assert await gateway.send_pin(Message(TEXT.to, "x", bad), 6, PATIENCE) == Sent(Outcome.REFUSED, "bad_segment")
    assert await gateway.send_sms(Message(TEXT.to, "x", bad), PATIENCE) == Sent(Outcome.REFUSED, "bad_segment")
    assert await gateway.send_mt(Message("+" + bad, "x"), PATIENCE) == Sent(Outcome.REFUSED, "bad_segment")
    for route in ROUTES:
        assert await send(ill, route) == Sent(Outcome.REFUSED, "bad_segment")
    assert vendor.messages() == before


@pytest.mark.parametrize(
    "to", ["13056708084", "+", "", "+1305 670", "+１３０５６７０８０８４", "++13056708084", "+13\n"]
)
async def test_a_number_that_is_not_e164_is_refused(gateway: OgangiGateway, to: str) -> None:
    assert await gateway.send_mt(Message(to, "x"), PATIENCE) == Sent(Outcome.REFUSED, "bad_segment")


async def test_the_carrier_null_an_empty_text_and_a_wrong_length_are_refused(gateway: OgangiGateway) -> None:
    refused = Sent(Outcome.REFUSED, "bad_segment")
    assert await gateway.send_sms(Message(TEXT.to, "x", "null"), PATIENCE) == refused
    assert await gateway.send_mt(Message(TEXT.to, ""), PATIENCE) == refused
    assert await gateway.send_mt(Message(TEXT.to, "\ud83d"), PATIENCE) == refused
    for length in (0, 3, 11):
        assert await gateway.send_pin(MESSAGE, length, PATIENCE) == refused


async def test_a_text_that_would_make_the_url_too_long_is_refused_before_it_leaves(
    vendor: Vendor, gateway: OgangiGateway
) -> None:
    before = len(vendor.messages())
    assert await gateway.send_mt(Message(TEXT.to, "x" * 100_000), PATIENCE) == Sent(Outcome.REFUSED, "url_too_long")
    assert await gateway.send_mt(Message(TEXT.to, "x" * 5_900), PATIENCE) == Sent(Outcome.REFUSED, "url_too_long")
    assert (await gateway.send_mt(Message(TEXT.to, "x" * 5_700), PATIENCE)).outcome is Outcome.ACCEPTED
    assert len(vendor.messages()) == before + 1


async def test_two_hundred_hanging_calls_all_end_by_their_deadline(vendor: Vendor, gateway: OgangiGateway) -> None:
    vendor.fail("*", "hang", times=None)
    sent = await asyncio.gather(*(send(gateway, "pin", timeout=HANGING_SECONDS) for _ in range(200)))
    # A call that the busy machine has not even connected by then is known not to have left.
    assert {(each.outcome, each.reason) for each in sent} <= {
        (Outcome.UNKNOWN, "timeout"),
        (Outcome.REFUSED, "not_connected"),
    }


@pytest.mark.parametrize("at_once", [60, pytest.param(200, marks=pytest.mark.long)])
async def test_many_at_once_each_get_their_own_pin(vendor: Vendor, gateway: OgangiGateway, at_once: int) -> None:
    numbers = [f"+1305670{at:04}" for at in range(at_once)]
    sent = await asyncio.gather(*(gateway.send_pin(Message(to, "PIN {0}", CARRIER), 6, PATIENCE) for to in numbers))
    delivered = {each["to"]: each["pin"] for each in reversed(vendor.messages())}
    assert [each.pin for each in sent] == [delivered[to] for to in numbers]


async def test_a_cancelled_send_stays_cancelled(vendor: Vendor, gateway: OgangiGateway) -> None:
    vendor.fail("pin", "hang")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send(gateway, "pin"), 0.3)


async def test_the_probe_sends_nothing(vendor: Vendor, gateway: OgangiGateway) -> None:
    before = vendor.messages()
    probe = await gateway.probe(PATIENCE)
    assert probe.ok, probe.detail
    assert vendor.messages() == before


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        *(
            ("http_404", "base URL"),
            ("bad_signature", "private key"),
            ("hang", "in time"),
            ("html", "Campaign Manager"),
        ),
        *(("unknown", "500"), ("refuse", "instance id"), ("reset_before", "closed the connection")),
    ],
)
async def test_the_probe_tells_what_to_do(vendor: Vendor, gateway: OgangiGateway, fault: str, advice: str) -> None:
    vendor.fail("mo", fault)
    probe = await gateway.probe(HANGING_SECONDS if fault == "hang" else PATIENCE)
    assert not probe.ok
    assert advice in probe.detail
    assert "127.0.0.1" not in probe.detail


async def test_a_wrong_private_key_is_a_bad_signature(vendor: Vendor, gateway_to: GatewayTo) -> None:
    gateway = gateway_to(vendor.base_url, private_key="another")
    assert (await send(gateway, "sms")).reason == "bad_signature"
    assert "check the public key" in (await gateway.probe(PATIENCE)).detail


@pytest.mark.parametrize("route", ["pin", "sms"])
async def test_a_rejected_signature_of_an_encoded_carrier_is_about_the_carrier(
    vendor: Vendor, gateway_to: GatewayTo, route: str
) -> None:
    gateway = gateway_to(vendor.base_url, private_key="wrong")
    message = Message(TEXT.to, TEXT.text, "Telefónica Móvil")
    sending = gateway.send_pin(message, 6, PATIENCE) if route == "pin" else gateway.send_sms(message, PATIENCE)
    assert (await sending).reason == "carrier_signature"


def test_an_account_shows_no_private_key() -> None:
    assert PRIVATE_KEY not in repr(Account("http://127.0.0.1", "43", "public", PRIVATE_KEY, SENDER))
