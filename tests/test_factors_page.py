"""The requests of docs/factors.md, sent in order as printed there, get the responses that are printed there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyotp
import pytest

from otp_service.app import create_app
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients import clients
from tests.support.servers import running
from tests.support.service import NO_LIMITS, Service, make_settings, serving, wrong
from tests.support.vendor import Vendor

PAGE = (Path(__file__).parent.parent / "docs" / "factors.md").read_text("utf-8")
(PYTHON,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
USER_IP = "192.0.2.7"
BLOCKS = re.findall(r"^```http\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
OPAQUE = re.compile(r"(fac|chl|ver|dev)_|otpd_|eyJ|otpauth:|<svg |\d{4}-\d\d-\d\dT|[A-Z2-7]{32}$|(\w{4}-){2}\w\w$")
CONFIG = {"limits": NO_LIMITS, "purposes": {"login": {"resend_after": [0]}}}


@pytest.fixture
async def service(database_url: str, vendor: Vendor, stopped_clock: None) -> AsyncIterator[Service]:  # noqa: ARG001
    async with serving(database_url, vendor, CONFIG) as running:
        yield running


@dataclass
class Reader:
    """Somebody who follows the page. `known`: the real text for each id, token, proof and code of the page."""

    service: Service
    known: dict[str, str] = field(default_factory=dict)

    async def send(self, request: str) -> tuple[int, Any]:
        """Send a request of the page; return the status and the body of the response."""
        head, _, text = request.partition("\n\n")
        (method, path), *headers = [line.split() for line in self._real(head).splitlines()]
        body = json.loads(self._real(text)) if text else None
        if body and "pin" in body:
            body["pin"] = await self._typed(path, body["pin"])
        answer = await self.service.api.call(method, path, body, **{name.rstrip(":"): value for name, value in headers})
        return answer.status_code, answer.json() if answer.content else None

    def _real(self, text: str) -> str:
        for printed in sorted(self.known, key=len, reverse=True):
            text = text.replace(printed, self.known[printed])
        return text

    async def _typed(self, path: str, pin: str) -> str:
        """Return what the user types where the page has this: a recovery code, or the value of an app or message."""
        code = self.known.get(pin.lower().replace(" ", "-"), pin)
        if not pin.replace(" ", "").isdigit():
            return code
        asked = (await self.service.api.call("GET", path.rpartition("/")[0])).json()
        factor = asked.get("factor", asked)
        if factor.get("type") == "totp":
            self.service.shift(30)  # the app shows another value
            return pyotp.TOTP(self.known["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"]).at(int(self.service.ctx.clock.now()))
        return str(self.service.vendor.messages()[0]["pin"])

    def compare(self, printed: Any, real: Any, where: str = "") -> None:
        """Compare a part of a response with that of the page, and learn what its opaque texts stand for."""
        if isinstance(printed, dict):
            assert printed.keys() - {"..."} <= real.keys(), where
            assert "..." in printed or printed.keys() == real.keys(), where
            for name in printed.keys() - {"..."}:
                self.compare(printed[name], real[name], f"{where}.{name}")
        elif isinstance(printed, list):
            is_abridged = "..." in printed
            shown = [each for each in printed if each != "..."]
            assert len(shown) == len(real) or (is_abridged and len(shown) < len(real)), where
            for mine, theirs in zip(shown, real, strict=False):
                self.compare(mine, theirs, where)
        elif isinstance(printed, str) and OPAQUE.match(printed) and not printed.startswith("20"):
            assert self.known.setdefault(printed, real) == real, where
            assert OPAQUE.match(real), where
        elif not (isinstance(printed, str) and OPAQUE.match(printed)):
            assert printed == real, where


async def test_each_request_of_the_page_gets_its_response(service: Service) -> None:
    reader = Reader(service)
    requests = [block for block in BLOCKS if not block.startswith("HTTP/")]
    responses = [block for block in BLOCKS if block.startswith("HTTP/")]
    assert len(requests) == len(responses) > 30
    for request, response in zip(requests, responses, strict=True):
        head, _, text = response.partition("\n\n")
        status, body = await reader.send(request)
        assert status == int(head.split()[1]), (request, body)
        reader.compare(json.loads(text.replace(", ...}", ', "...": 0}')) if text else None, body, request)


def test_the_python_of_the_page_logs_in_with_an_app_and_a_remembered_browser(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(make_settings(migrated, vendor.base_url, {}))
    with running(app) as url:
        monkeypatch.setenv("OTP_SERVICE_URL", url)
        monkeypatch.setenv("OTP_SERVICE_KEY", asyncio.run(new_client(migrated)))
        names: dict[str, Any] = {}
        exec(PYTHON, names)  # noqa: S102 - the test is that it runs as printed
        with names["otp"]:
            logs_in_and_is_remembered(names, app.state.context.clock)


def logs_in_and_is_remembered(names: dict[str, Any], clock: Clock) -> None:
    account, session = {"id": "user-17"}, dict[str, Any]()
    assert names["start_challenge"](account, session, USER_IP) is None
    added = names["otp"].factors.add_totp(subject="user-17")
    app = pyotp.TOTP(added.totp.secret)
    assert names["otp"].factors.verify(added.id, app.at(int(clock.now()))).approved
    assert names["start_challenge"](account, session, USER_IP).factor.id == added.id
    clock.offset += 30
    typed = app.at(int(clock.now()))
    assert names["finish_challenge"](wrong(typed), session) == ("incorrect", None, None)
    result, logged_in, device = names["finish_challenge"](typed, session, remember=True)
    assert (result, logged_in, session) == ("approved", "user-17", {})
    challenge = names["start_challenge"](account, session, USER_IP, device)
    assert challenge.approved
    assert names["log_in"](challenge.proof, session) == "user-17"


async def new_client(database_url: str) -> str:
    database = Database(database_url)
    try:
        return (await clients.create(database, Clock(), "page")).api_key
    finally:
        database.close()


def test_the_page_names_every_call_of_second_factors() -> None:
    for call in ("/v1/factors", "/v1/challenges", "/v1/devices", "/v1/subjects", "/v1/factors/recovery-codes"):
        assert call in PAGE
