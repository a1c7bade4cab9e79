"""Faults that can be asked for: how they are armed, met and cleared."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from otp_service.simulator.faults import kinds
from otp_service.simulator.faults.armed import ArmedFaults
from otp_service.simulator.faults.kinds import FAULTS
from tests.simulator.conftest import Caller, base64, signed
from tests.support.patience import PATIENCE
from tests.support.vendor import Vendor, running_vendor

TO = "+13056708084"
MT = f"43/12345/null/13056708084/{base64('PIN 123456')}"
SMS = f"43/Movistar/12345/{base64('13056708084')}/{base64('PIN 123456')}"
PIN = f"43/Movistar/12345/13056708084/{base64('PIN {0}')}/6"
METHODS = {"mt": ("sendMT", MT), "sms": ("tools/sendSMS", SMS), "pin": ("tools/sendSMSPinMobileNumberConfirm", PIN)}

READING = {
    "mo": ("tools/getMOMessages", "43/1/1/null"),
    "report": ("tools/messageReport", "43/0/1/1/1/null"),
    "blacklist": ("isUserInBlackList", "43/13056708084/-1"),
    "fire": ("fireMessage", f"43/13056708084/{base64('STOP')}"),
}


async def arm(caller: Caller, **asked: Any) -> None:
    assert (await caller.http.post("/faults", json=asked)).status_code == 201


async def test_a_fault_is_met_as_often_as_asked_and_by_its_method_alone(caller: Caller) -> None:
    await arm(caller, method="mt", fault="refuse", times=2)
    assert await caller.status(*METHODS["sms"]) == "OK"
    assert [await caller.status(*METHODS["mt"]) for _ in range(3)] == ["ERROR", "ERROR", "OK"]
    assert (await caller.http.get("/faults")).json() == []


async def test_a_fault_of_every_method_is_one_of_those_that_send_and_goes_on_until_cleared(caller: Caller) -> None:
    await arm(caller, method="*", fault="bad_signature", times=None)
    assert {await caller.status(*METHODS[name]) for name in ("mt", "sms", "pin")} == {"BAD_SIGNATURE"}
    assert await caller.status("tools/getMOMessages", "43/1/1/null") == "OK"
    armed = {"method": "*", "fault": "bad_signature", "times": None, "seconds": 1.0}
    assert (await caller.http.get("/faults")).json() == [armed]
    assert (await caller.http.delete("/faults")).status_code == 204
    assert await caller.status(*METHODS["mt"]) == "OK"


@pytest.mark.parametrize("name", READING)
async def test_a_method_that_sends_nothing_has_faults_of_its_own(caller: Caller, name: str) -> None:
    await arm(caller, method=name, fault="http_429")
    for other in READING.keys() - {name}:
        assert await caller.status(*READING[other]) == "OK"
    path = f"{READING[name][0]}/{signed(READING[name][1])}"
    assert [(await caller.get(path)).status_code for _ in range(2)] == [429, 200]


async def test_a_call_that_is_not_signed_meets_no_fault(caller: Caller) -> None:
    await arm(caller, method="mt", fault="http_503")
    assert "BAD_SIGNATURE" in (await caller.get(f"sendMT/{signed(MT)}0")).text
    assert (await caller.get(f"sendMT/{signed(MT)}")).status_code == 503


async def test_a_pin_fault_for_every_method_is_met_by_the_pin_method_alone(caller: Caller) -> None:
    await arm(caller, method="*", fault="short_pin")
    assert await caller.status(*METHODS["sms"]) == "OK"
    reply = await caller.call(*METHODS["pin"])
    assert len(reply.findtext("result/PinSMSConfirmation/pin") or "") == 5


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (None, "object"),
        ([], "object"),
        ({}, "method"),
        ({"method": "fax", "fault": "refuse"}, "pin, sms, mt, mo"),
        ({"method": "pin", "fault": "explode"}, "refuse, bad_signature"),
        ({"method": "pin", "fault": ["refuse"]}, "fault"),
        ({"method": ["pin"], "fault": "refuse"}, "method"),
        ({"method": "sms", "fault": "two_pins"}, "pin alone"),
        ({"method": "pin", "fault": "message_failed"}, "sms alone"),
        ({"method": "mo", "fault": "no_pin"}, "pin alone"),
        ({"method": "pin", "fault": "refuse", "times": 0}, "times"),
        ({"method": "pin", "fault": "refuse", "times": True}, "times"),
        ({"method": "pin", "fault": "refuse", "times": 1.5}, "times"),
        ({"method": "pin", "fault": "slow", "seconds": -1}, "seconds"),
        ({"method": "pin", "fault": "slow", "seconds": "1"}, "seconds"),
        ({"method": "pin", "fault": "slow", "seconds": 10**400}, "seconds"),
        ({"method": "pin", "fault": "slow", "minutes": 1}, "minutes"),
    ],
)
async def test_what_is_no_fault_is_refused_with_the_reason(caller: Caller, asked: Any, said: str) -> None:
    answer = await caller.http.post("/faults", json=asked)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert (await caller.http.get("/faults")).json() == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"method": NaN}'])
async def test_a_body_that_is_no_json_is_refused(caller: Caller, body: bytes) -> None:
    assert (await caller.http.post("/faults", content=body)).status_code == 422


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with running_vendor() as running:
        yield running


ENDLESS = {"hang", "drip"}
ENDLESS_SECONDS = 0.5
"""A call that lasts so long, once the fault was met and the message delivered, is taken to be without an end."""
NOT_DELIVERED = [
    "refuse",
    "slow_refuse",
    "bad_signature",
    "http_404",
    "http_429",
    "http_503",
    "reset_before",
    "hang",
    "html",
    "redirect",
    "message_failed",
]


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_delivers_or_does_not_as_it_says(vendor: Vendor, fault: str) -> None:
    name = "sms" if fault == "message_failed" else "pin"
    method, parameters = METHODS[name]
    vendor.fail(name, fault, seconds=0.1)
    before = len(vendor.messages(TO))
    delivered = fault not in NOT_DELIVERED
    async with httpx.AsyncClient(base_url=vendor.base_url, trust_env=False, timeout=PATIENCE) as http:
        call = asyncio.create_task(http.get(f"/rest/api/{method}/{signed(parameters)}"))
        await vendor.fault_taken()
        await vendor.delivered(TO, before + delivered)
        await asyncio.wait({call}, timeout=ENDLESS_SECONDS if fault in ENDLESS else PATIENCE)
        assert await how_it_ended(call) == (
            "not at all" if fault in ENDLESS else "closed" if "reset" in fault else "answered"
        )
    assert len(vendor.messages(TO)) - before == delivered


async def how_it_ended(call: asyncio.Task[httpx.Response]) -> str:
    """Says how a call ended, and ends it if it has not."""
    if not call.done():
        call.cancel()
        await asyncio.wait({call})
        return "not at all"
    return "closed" if isinstance(call.exception(), httpx.TransportError) else "answered"


async def test_get_message_has_a_fault_of_its_own(caller: Caller) -> None:
    message_id = (await caller.call(*METHODS["sms"])).findtext("result/messages/message/id")
    await arm(caller, method="message", fault="refuse")
    assert [await caller.status("tools/getMessage", f"43/{message_id}") for _ in range(2)] == ["ERROR", "OK"]


def test_the_docstring_names_what_is_not_delivered() -> None:
    source = Path(kinds.__file__).read_text().split('"""')[1].partition("all others")[0]
    assert set(source.split("`")[1::2]) == set(NOT_DELIVERED)


def test_every_fault_can_be_armed() -> None:
    armed = ArmedFaults()
    for fault in FAULTS:
        armed.add({"method": "*", "fault": fault})
    assert [each["fault"] for each in armed.as_json()] == list(FAULTS)
