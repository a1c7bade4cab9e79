"""What a tester asks for beside the wire protocol."""

import json
from typing import Any

import pytest

from otp_service.simulator import create_simulator
from tests.simulator.conftest import Caller, base64, signed
from tests.support.vendor import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY, SENDER, Vendor, running_vendor

NUMBER = "+573001234567"
EVERYTHING = "43/1/100/null"


async def send(caller: Caller, text: str = "Hello") -> None:
    assert await caller.status("sendMT", f"43/12345/null/{NUMBER[1:]}/{base64(text)}") == "OK"


async def statuses(caller: Caller) -> list[str | None]:
    """Of all messages, newest first."""
    report = await caller.call("tools/messageReport", "43/0/9999999999999/1/100/null")
    return [element.text for element in report.findall("result/messages/message/status")]


async def listed(caller: Caller) -> list[str | None]:
    """The texts of getMOMessages."""
    reply = await caller.call("tools/getMOMessages", EVERYTHING)
    return [element.text for element in reply.findall("result/MOMessageList/MessageList/MOMessage/text")]


async def notices(caller: Caller) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await caller.http.get("/notices")).json()
    return found


@pytest.mark.parametrize("status", ["UNDELIVERED", "BAD ADDRESS", "BAD_CARRIER/FROM", "no such word"])
async def test_the_newest_message_to_a_number_gets_any_status(caller: Caller, status: str) -> None:
    await send(caller, "first")
    await send(caller, "second")
    assert (await caller.http.post("/statuses", json={"to": NUMBER, "status": status})).status_code == 204
    assert await statuses(caller) == [status, "SENT_TO_CARRIER"]
    (notice,) = await notices(caller)
    assert int(notice.pop("MESSANGI_ID")) < 0
    assert notice == {
        "FROM": "12345",
        "TO": NUMBER[1:],
        "MESSAGE_BODY": "second",
        "TYPE": "SMS",
        "CLIENT_ID": "",
        "STATUS": status,
    }


async def test_a_status_can_be_told_more_than_once(caller: Caller) -> None:
    await send(caller)
    await caller.http.post("/statuses", json={"to": NUMBER, "status": "SENT", "times": 3})
    assert [notice["STATUS"] for notice in await notices(caller)] == ["SENT"] * 3


async def test_a_number_without_messages_gets_no_status(caller: Caller) -> None:
    assert (await caller.http.post("/statuses", json={"to": NUMBER, "status": "SENT"})).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/statuses", None),
        ("/statuses", {"to": NUMBER}),
        ("/statuses", {"to": NUMBER, "status": ["SENT"]}),
        ("/statuses", {"to": NUMBER, "status": "\ud800"}),
        *(("/statuses", {"to": NUMBER, "status": "SENT", "times": times}) for times in (0, True, "1", 1.0, 10**6)),
        ("/blacklist", []),
        ("/blacklist", {"number": NUMBER}),
        ("/blacklist", {"number": NUMBER, "blocked": "yes"}),
        ("/blacklist", {"number": 1, "blocked": True}),
        ("/callback", None),
        ("/callback", {}),
        ("/callback", {"url": None, "more": 1}),
        ("/mo", [{"from": "1305", "to": "12345", "text": "fine"}, {}]),
        ("/mo", {"from": "1305", "to": "12345", "text": "\udfff"}),
        ("/mo", {"from": "1305", "to": "12345", "text": "x", "listed": 1}),
        ("/mo", {"from": "1305", "to": "12345", "text": "x", "callback": None}),
        ("/mo", {"from": "1305", "to": "12345", "text": "x", "carrier": 1}),
    ],
)
async def test_what_is_not_understood_is_refused_and_does_nothing(caller: Caller, path: str, body: Any) -> None:
    await send(caller)
    assert (await caller.http.post(path, content=json.dumps(body))).status_code == 422
    assert await statuses(caller) == ["SENT_TO_CARRIER"]
    assert await listed(caller) == []
    assert await notices(caller) == []


@pytest.mark.parametrize("is_listed", [True, False], ids=["listed", "unlisted"])
@pytest.mark.parametrize("callback", [True, False], ids=["called", "uncalled"])
async def test_an_mo_is_listed_and_called_back_as_asked(caller: Caller, is_listed: bool, callback: bool) -> None:
    body = {"from": NUMBER, "to": "12345", "text": "Ñandú ☎", "listed": is_listed, "callback": callback}
    assert (await caller.http.post("/mo", json=body)).status_code == 201
    assert await listed(caller) == ["Ñandú ☎"] * is_listed
    told = {"FROM": NUMBER[1:], "TO": "12345", "TEXT": "Ñandú ☎", "ENCODING": "UTF-8", "TYPE": "MO_MESSAGE"}
    assert await notices(caller) == [told] * callback


async def test_a_reset_forgets_all_but_the_messages(caller: Caller) -> None:
    await send(caller)
    await caller.status("fireMessage", f"43/{NUMBER[1:]}/{base64('STOP')}")
    await caller.http.post("/blacklist", json={"number": NUMBER, "blocked": True})
    await caller.http.post("/faults", json={"method": "mt", "fault": "refuse"})
    assert (await caller.http.post("/reset")).status_code == 204
    await send(caller)
    assert len(await caller.messages()) == 2
    assert await listed(caller) == []
    assert (await caller.http.get("/fired")).json() == []
    reply = await caller.call("isUserInBlackList", f"43/{NUMBER[1:]}/-1")
    assert reply.findtext("result/userBlackList/text") == "false"


def send_over_http(vendor: Vendor, text: str) -> None:
    parameters = signed(f"43/12345/null/{NUMBER[1:]}/{base64(text)}")
    vendor.http.get(f"/mmc/rest/api/sendMT/{parameters}").raise_for_status()


def test_the_newest_messages_are_kept_as_many_as_asked() -> None:
    with running_vendor(create_simulator(INSTANCE_ID, PUBLIC_KEY, PRIVATE_KEY, kept=2)) as vendor:
        for text in ("first", "second", "third"):
            send_over_http(vendor, text)
        assert [message["text"] for message in vendor.messages()] == ["third", "second"]


def test_the_helpers_ask_for_what_they_say(vendor: Vendor) -> None:
    send_over_http(vendor, "Hello")
    vendor.mo(NUMBER, "STOP")
    vendor.mos([("+1305", "one"), ("+1306", "two")], callback=False)
    vendor.set_status(NUMBER, "DELIVRD", times=2)
    told = vendor.notices()[:3]
    assert [notice.get("STATUS", notice.get("TEXT")) for notice in told] == ["DELIVRD", "DELIVRD", "STOP"]
    assert told[2]["TO"] == SENDER
