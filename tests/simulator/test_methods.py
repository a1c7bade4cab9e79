"""What each method does, and how it can be read back."""

from typing import Any

import pytest

from otp_service.simulator.store import pin_in
from tests.simulator.conftest import Caller, base64

NUMBER = "13056708084"


def texts(found: Any) -> list[str]:
    return [element.text for element in found]


async def pin_call(caller: Caller, text: str, length: int = 6) -> str:
    parameters = f"43/Movistar/19893653744/{NUMBER}/{base64(text)}/{length}"
    reply = await caller.call("tools/sendSMSPinMobileNumberConfirm", parameters)
    assert reply.tag == "response"
    return reply.findtext("result/PinSMSConfirmation/pin") or ""


@pytest.mark.parametrize("length", [4, 6, 10])
async def test_the_pin_stands_where_the_placeholder_stood(caller: Caller, length: int) -> None:
    pin = await pin_call(caller, "<b> & {0} is your PIN", length)
    assert len(pin) == length
    assert pin.isdigit()
    assert await caller.messages() == [
        {
            "at": "2026-01-01T00:00:00.500Z",
            "method": "sendSMSPinMobileNumberConfirm",
            "to": "+13056708084",
            "from": "19893653744",
            "text": f"<b> & {pin} is your PIN",
            "pin": pin,
        }
    ]


async def test_send_sms_can_be_read_back_by_its_id(caller: Caller) -> None:
    text = "a < b & 123456 \x07"
    parameters = f"43/Tigo%20Une/19893653744/{base64(NUMBER)}/{base64(text)}"
    reply = await caller.call("tools/sendSMS", parameters)
    message = reply.find("result/messages/message")
    assert message is not None
    assert message.findtext("status") == "SENT_TO_CARRIER"
    assert message.findtext("carrier") == "Tigo Une"
    assert message.findtext("text") == "a < b & 123456 \ufffd"
    message_id = message.findtext("id") or ""
    assert -(2**63) <= int(message_id) < 0
    again = await caller.call("tools/getMessage", f"43/{message_id}")
    assert again.findtext("result/message/to") == NUMBER


async def test_send_mt_has_no_result(caller: Caller) -> None:
    for tail in ("", "/some%20flags"):
        reply = await caller.call("sendMT", f"43/19893653744/null/{NUMBER}/{base64('PIN 123456')}{tail}")
        assert reply.findtext("status") == "OK"
        assert reply.find("result") is None
    assert [message["pin"] for message in await caller.messages()] == ["123456", "123456"]


async def test_a_fired_message_is_one_from_the_handset_and_none_to_it(caller: Caller) -> None:
    assert await caller.status("fireMessage", f"43/{NUMBER}/{base64('START')}") == "OK"
    fields = {"sender_id_id": "12345", "keyword_value": "STOP", "recipient_address": NUMBER}
    reply = await caller.call("fireMessage", "43", {"event": {"fld-val-list": fields}})
    assert reply.findtext("result/mo/mobileNumber") == NUMBER
    assert await caller.messages() == []
    assert (await caller.http.get("/fired")).json() == [
        {"at": "2026-01-01T00:00:00.500Z", "to": "+" + NUMBER, "text": text} for text in ("STOP", "START")
    ]
    listed = await caller.call("tools/getMOMessages", "43/1/20/null")
    assert texts(listed.findall("result/MOMessageList/MessageList/MOMessage/text")) == ["STOP", "START"]
    assert texts(listed.findall("result/MOMessageList/MessageList/MOMessage/from")) == [NUMBER, NUMBER]
    assert texts(listed.findall("result/MOMessageList/MessageList/MOMessage/to")) == ["12345", None]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"event": None},
        {"event": {"fld-val-list": {"sender_id_id": 1, "keyword_value": "x", "recipient_address": NUMBER}}},
        {"event": {"fld-val-list": {"sender_id_id": "1", "keyword_value": "x", "recipient_address": "+1"}}},
        {"event": {"fld-val-list": {"sender_id_id": "1", "keyword_value": "x" * 70_000, "recipient_address": "1"}}},
    ],
)
async def test_a_wrong_descriptor_is_an_error(caller: Caller, body: Any) -> None:
    assert await caller.status("fireMessage", "43", body) == "ERROR"
    assert await caller.messages() == []


@pytest.fixture
async def with_mos(caller: Caller) -> Caller:
    for at, (sender, text) in enumerate([("+1305", "STOP now"), ("1305", "start"), ("1306", "STOP")]):
        body = {"from": sender, "to": "12345", "text": f"{text} {at}", "carrier": "Movistar"}
        assert (await caller.http.post("/mo", json=body)).status_code == 201
    return caller


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("1/20/null", ["STOP 2", "start 1", "STOP now 0"]),
        ("1/20/order=asc", ["STOP now 0", "start 1", "STOP 2"]),
        ("1/20/FROM=1305&ORDER=DESC", ["start 1", "STOP now 0"]),
        ("1/20/from=1305,1306&keyword=STOP|START", ["STOP 2", "STOP now 0"]),
        ("1/20/carrier=Movistar&to=99", []),
        ("1/2/null", ["STOP 2", "start 1"]),
        ("2/2/null", ["STOP now 0"]),
        ("3/2/null", []),
    ],
)
async def test_mo_messages_are_filtered_and_paged(with_mos: Caller, parameters: str, found: list[str]) -> None:
    reply = await with_mos.call("tools/getMOMessages", "43/" + parameters)
    assert texts(reply.findall("result/MOMessageList/MessageList/MOMessage/text")) == found


@pytest.mark.long
async def test_ten_thousand_mos_are_paged_through_while_others_arrive(caller: Caller) -> None:
    many = [{"from": f"57300{at:07d}", "to": "12345", "text": f"text {at}"} for at in range(10_000)]
    assert (await caller.http.post("/mo", json=many)).status_code == 201
    seen: list[str] = []
    for page in range(1, 102):
        reply = await caller.call("tools/getMOMessages", f"43/{page}/100/null")
        seen += texts(reply.findall("result/MOMessageList/MessageList/MOMessage/text"))
        if page % 10 == 0:
            late = {"from": "573009999999", "to": "12345", "text": f"late {page}"}
            assert (await caller.http.post("/mo", json=late)).status_code == 201
    assert set(seen) == {each["text"] for each in many}
    assert len(seen) == 10_010  # each that arrives pushes one to the next page


async def test_an_mo_has_the_handset_as_from(with_mos: Caller) -> None:
    reply = await with_mos.call("tools/getMOMessages", "43/1/1/order=asc")
    message = reply.find("result/MOMessageList/MessageList/MOMessage")
    assert message is not None
    assert (message.findtext("from"), message.findtext("to"), message.findtext("keyword")) == ("1305", "12345", "STOP")
    assert message.findtext("sendDate") == "2026-01-01 00:00:00.500"
    assert reply.findtext("result/MOMessageList/records") == "3"


@pytest.mark.parametrize("body", [None, [], {}, {"from": "1", "to": "2"}, {"from": 1, "to": "2", "text": "x"}])
async def test_a_wrong_mo_is_refused(caller: Caller, body: Any) -> None:
    answer = await caller.http.post("/mo", json=body)
    assert answer.status_code == 422
    assert "from, to and text" in answer.json()["error"]


async def test_messages_are_newest_first_and_filtered_by_number(caller: Caller) -> None:
    for number in ("1305", "1306", "1305"):
        await caller.call("sendMT", f"43/12345/null/{number}/{base64('to ' + number)}")
    assert [message["to"] for message in await caller.messages()] == ["+1305", "+1306", "+1305"]
    assert len(await caller.messages(to="+1305")) == 2
    assert len((await caller.http.get("/messages?to=+1305")).json()) == 2
    assert len(await caller.messages(to="1306")) == 1
    assert await caller.messages(to="1307") == []


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("Your PIN is 123456.", "123456"),
        ("Your PIN is 1234567890", "1234567890"),
        ("123456 is it\n\n@example.com #123456", "123456"),
        ("123456 or 654321", None),
        ("12345 or 12345678901", None),
        ("AB123456", None),
        ("１２３４５６", None),
        ("no digits", None),
    ],
)
def test_the_pin_of_a_text_is_its_only_standalone_run_of_digits(text: str, pin: str | None) -> None:
    assert pin_in(text) == pin


async def sent_by_every_method(caller: Caller) -> str:
    """A message of each method, the PIN method's first; its PIN."""
    pin = await pin_call(caller, "PIN {0}")
    await caller.call("tools/sendSMS", f"43/Tigo/12345/{base64(NUMBER)}/{base64('by sendSMS')}")
    await caller.call("sendMT", f"43/12345/null/1305/{base64('by sendMT')}")
    return pin


SINCE, UNTIL = "1767225600000", "1767225601000"


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        (f"{SINCE}/{UNTIL}/1/20/null", ["by sendMT", "by sendSMS", "PIN"]),
        (f"{SINCE}/{UNTIL}/1/20/ORDER=ASC", ["PIN", "by sendSMS", "by sendMT"]),
        (f"{SINCE}/{UNTIL}/1/20/TO={NUMBER}", ["by sendSMS", "PIN"]),
        (f"{SINCE}/{UNTIL}/1/20/to={NUMBER}&carrier=Tigo,Claro&from=12345", ["by sendSMS"]),
        (f"{SINCE}/{UNTIL}/2/2/null", ["PIN"]),
        (f"{UNTIL}/{UNTIL}/1/20/null", []),
        (f"0/{SINCE}/1/20/null", []),
    ],
)
async def test_the_report_has_the_messages_of_every_method(caller: Caller, parameters: str, found: list[str]) -> None:
    pin = await sent_by_every_method(caller)
    reply = await caller.call("tools/messageReport", "43/" + parameters)
    assert texts(reply.findall("result/messages/message/text")) == [text.replace("PIN", f"PIN {pin}") for text in found]


async def test_the_report_counts_all_and_shows_every_field(caller: Caller) -> None:
    await sent_by_every_method(caller)
    reply = await caller.call("tools/messageReport", f"43/{SINCE}/{UNTIL}/1/1/order=asc")
    assert reply.findtext("result/messages/records") == "3"
    (message,) = reply.findall("result/messages/message")
    shown = {name: message.findtext(name) for name in ("from", "to", "carrier", "status", "date", "timezone")}
    assert shown == {
        "from": "19893653744",
        "to": NUMBER,
        "carrier": "Movistar",
        "status": "SENT_TO_CARRIER",
        "date": "2026-01-01 00:00:00.500",
        "timezone": "UTC",
    }
    again = await caller.call("tools/getMessage", f"43/{message.findtext('id')}")
    assert again.findtext("result/message/text") == message.findtext("text")


@pytest.mark.parametrize("short_code", ["-1", "12345"])
async def test_a_number_is_in_the_blacklist_until_it_is_taken_off(caller: Caller, short_code: str) -> None:
    async def listed() -> str | None:
        reply = await caller.call("isUserInBlackList", f"43/{NUMBER}/{short_code}")
        return reply.findtext("result/userBlackList/text")

    assert await listed() == "false"
    for blocked in (True, False):
        body = {"number": "+" + NUMBER, "blocked": blocked}
        assert (await caller.http.post("/blacklist", json=body)).status_code == 204
        assert await listed() == str(blocked).lower()
