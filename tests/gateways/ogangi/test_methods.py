"""Every method as it leaves: its verb, its path to the last character, its body."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.gateways.ogangi.caller import Descriptor
from otp_service.gateways.ogangi.client import OgangiGateway
from otp_service.gateways.ogangi.methods import METHODS
from otp_service.gateways.ogangi.signing import sign
from tests.gateways.ogangi.conftest import GatewayTo
from tests.gateways.ogangi.vectors import (
    CARRIER,
    NUMBER,
    NUMBER_BASE64,
    PRIVATE_KEY,
    PUBLIC_KEY,
    SENDER,
    SIGNATURES,
    TEXT,
    TEXT_BASE64,
)
from tests.gateways.ogangi.wire import answering, http
from tests.support.patience import PATIENCE
from tests.support.servers import bare_server

TO = f"+{NUMBER}"
MESSAGE = Message(TO, TEXT, CARRIER)
OK = http(b"<status>OK</status><result/>")
MESSAGE_ID = "-8174720676710228700"
FILTER = f"from={NUMBER}&order=desc"
Call = Callable[[OgangiGateway], Awaitable[object]]


def by_hand(name: str, **values: str) -> Call:
    return lambda gateway: gateway.caller.call(METHODS[name], values, PATIENCE)


PIN_PATH = "GET tools/sendSMSPinMobileNumberConfirm"
VECTORS: dict[str, tuple[str, Call, str]] = {
    f"43/Movistar/{SENDER}/{NUMBER}/{TEXT_BASE64}/6": ("", lambda each: each.send_pin(MESSAGE, 6, PATIENCE), PIN_PATH),
    f"43/Movistar/{SENDER}/{NUMBER}/{TEXT_BASE64}==/6": (
        "=",
        lambda each: each.send_pin(MESSAGE, 6, PATIENCE),
        PIN_PATH,
    ),
    f"43/Movistar/{SENDER}/{NUMBER_BASE64}/{TEXT_BASE64}": (
        "",
        lambda each: each.send_sms(MESSAGE, PATIENCE),
        "GET tools/sendSMS",
    ),
    f"43/{SENDER}/null/{NUMBER}/{TEXT_BASE64}": ("", lambda each: each.send_mt(MESSAGE, PATIENCE), "GET sendMT"),
    "43": ("", lambda each: each.send_keyword(TO, "STOP", PATIENCE), "POST fireMessage"),
    f"43/1/20/{FILTER}": ("", by_hand("getMOMessages", parameters=FILTER), "GET tools/getMOMessages"),
    f"43/{MESSAGE_ID}": ("", lambda each: each.receipt(MESSAGE_ID, PATIENCE), "GET tools/getMessage"),
}


@pytest.mark.parametrize("parameters", VECTORS)
async def test_every_vector_leaves_as_documented(gateway_to: GatewayTo, parameters: str) -> None:
    padding, call, method = VECTORS[parameters]
    async with answering(OK) as bare:
        await call(gateway_to(f"{bare.base_url}/mmc/", padding=bool(padding)))
    verb, path = method.split()
    target = f"/mmc/rest/api/{path}/{parameters}/{PUBLIC_KEY}/{SIGNATURES[parameters]}"
    assert bare.heads[0].startswith(f"{verb} {target} HTTP/1.1\r\n")


OTHERS: dict[str, tuple[Call, str]] = {
    f"43/{SENDER}/7/{NUMBER}/{TEXT_BASE64}": (
        by_hand("sendMT", mobileNumber=TO, text=TEXT, carrier="7"),
        "sendMT",
    ),
    f"43/{NUMBER}/{TEXT_BASE64}": (by_hand("fireMessage", mobileNumber=TO, text=TEXT), "fireMessage"),
    "43/2/100/order=desc": (lambda each: each.inbound(2, 100, PATIENCE), "tools/getMOMessages"),
    "43/1/20/null": (by_hand("getMOMessages"), "tools/getMOMessages"),
    f"43/1763900000000/1763900001500/1/100/to={NUMBER}": (
        lambda each: each.report(TO, 1763900000, 1763900001.5, PATIENCE),
        "tools/messageReport",
    ),
    f"43/{NUMBER}/-1": (lambda each: each.is_blacklisted(TO, PATIENCE), "isUserInBlackList"),
}


@pytest.mark.parametrize("parameters", OTHERS)
async def test_every_other_method_is_signed_as_it_stands(gateway_to: GatewayTo, parameters: str) -> None:
    call, path = OTHERS[parameters]
    async with answering(OK) as bare:
        await call(gateway_to(bare.base_url))
    target = f"/rest/api/{path}/{parameters}/{PUBLIC_KEY}/{sign(PRIVATE_KEY, parameters.split('/'))}"
    assert bare.heads[0].startswith(f"GET {target} HTTP/1.1\r\n")


async def test_flags_stand_behind_the_text_and_need_no_encoding(gateway_to: GatewayTo) -> None:
    async with answering(OK) as bare:
        sent = await gateway_to(bare.base_url, mt_flags="a=1,b:2;c+d").send_mt(MESSAGE, PATIENCE)
    assert sent.outcome is Outcome.ACCEPTED
    assert bare.heads[0].startswith(f"GET /rest/api/sendMT/43/{SENDER}/null/{NUMBER}/{TEXT_BASE64}/a=1,b:2;c+d/")


@pytest.mark.parametrize(
    ("descriptor", "names"),
    [
        (None, ("sender_id_id", "keyword_value", "recipient_address")),
        (Descriptor("code", "word", "who"), ("code", "word", "who")),
    ],
    ids=["documented", "changed"],
)
async def test_the_descriptor_carries_code_keyword_and_number(
    gateway_to: GatewayTo, descriptor: Descriptor | None, names: tuple[str, str, str]
) -> None:
    bodies: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = bare.heads[0].lower().split("content-length: ")[1].split("\r\n")[0]
        bodies.append(await reader.readexactly(int(length)))
        writer.write(http(b"<status>OK</status><result><mo/></result>"))

    async with bare_server(take) as bare:
        sent = await gateway_to(bare.base_url, descriptor=descriptor, sender="+57 1").send_keyword(TO, "STOP", PATIENCE)
    assert sent == Sent(Outcome.ACCEPTED, "ok")
    assert "content-type: application/json\r\n" in bare.heads[0].lower()
    values = dict(zip(names, ("+57 1", "STOP", NUMBER), strict=True))
    assert json.loads(bodies[0]) == {"event": {"fld-val-list": values}}


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("sendMT", {"mobileNumber": TO}, "sendMT needs text (the message)"),
        ("sendMT", {"mobileNumber": TO, "text": "x", "flags": "y"}, "sendMT has no flags"),
        ("sendMT", {"mobileNumber": NUMBER, "text": "x"}, "mobileNumber must be E.164"),
        ("sendMT", {"mobileNumber": TO, "text": "\ud800"}, "text must be Unicode text"),
        ("sendSMS", {"mobileNumber": TO, "text": "x", "carrier": "null"}, "carrier must be an operator's name"),
        ("getMOMessages", {"page": "0"}, "page must be 1 to"),
        ("getMOMessages", {"page": "１"}, "page must be 1 to"),
        ("getMOMessages", {"parameters": "a/b"}, "parameters must not hold any of"),
        ("getMessage", {"messageId": ""}, "messageId must not be empty"),
        ("messageReport", {"initialDate": "yesterday", "finalDate": "0"}, "initialDate must be 0 to"),
    ],
)
async def test_what_cannot_be_called_names_the_parameter_and_not_its_value(
    gateway: OgangiGateway, name: str, values: dict[str, str], problem: str
) -> None:
    with pytest.raises(ValueError) as refused:
        gateway.caller.request(METHODS[name], values)
    assert str(refused.value).startswith(problem)
    assert NUMBER not in str(refused.value)


async def test_a_request_shows_neither_url_nor_body(gateway: OgangiGateway) -> None:
    request = gateway.caller.request(METHODS["fireMessage-POST"], {"mobileNumber": TO, "text": "STOP"})
    assert request.body is not None
    assert NUMBER not in repr(request)
    assert PUBLIC_KEY not in repr(request)
