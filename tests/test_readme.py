"""The Python of README.md runs exactly as it is printed there."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from otp_service_client import errors

from otp_service.app import create_app
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients import clients
from tests.support.servers import running
from tests.support.service import make_settings, new_number, wrong
from tests.support.vendor import Vendor

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
USER_IP = "192.0.2.7"
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Application:
    """The functions that README.md defines, by name."""

    def __init__(self, names: dict[str, Any], vendor: Vendor) -> None:
        self.names = names
        self._vendor = vendor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = self.names[name]
        return function

    def pin(self, to: str) -> str:
        """The PIN of the newest message to this number."""
        return str(self._vendor.messages(to)[0]["pin"])


@pytest.fixture
def config() -> dict[str, Any]:
    """The policy file. A test can override it."""
    return {}


@pytest.fixture
def application(
    migrated: str, vendor: Vendor, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    with running(create_app(make_settings(migrated, vendor.base_url, config))) as url:
        monkeypatch.setenv("OTP_SERVICE_URL", url)
        monkeypatch.setenv("OTP_SERVICE_KEY", asyncio.run(new_client(migrated)))
        names: dict[str, Any] = {}
        for block in PYTHON:
            exec(block, names)  # noqa: S102 - the test is that it runs as printed
        with names["otp"]:
            yield Application(names, vendor)


async def new_client(database_url: str) -> str:
    database = Database(database_url)
    try:
        return (await clients.create(database, Clock(), "readme")).api_key
    finally:
        database.close()


def test_a_number_is_verified_at_sign_up(application: Application, vendor: Vendor) -> None:
    session: dict[str, Any] = {}
    to = new_number()
    assert 0 < application.start_signup(to, session, USER_IP) <= 30
    assert 0 < application.start_signup(to, session, USER_IP) <= 30
    assert len(vendor.messages(to)) == 1
    session = json.loads(json.dumps(session))  # an application can store it
    pin = application.pin(to)
    assert application.finish("signup", wrong(pin), session) == ("incorrect", None)
    assert application.finish_signup(wrong(pin), session) == ("incorrect", None)
    assert application.finish_signup("12a", session) == ("invalid", None)
    assert application.finish_signup(f"{pin[:3]} {pin[3:]}", session) == ("approved", to)
    assert application.finish_signup(pin, session) == ("already_approved", None)


def test_sign_up_explains_why_no_message_was_sent(application: Application, vendor: Vendor) -> None:
    to = new_number()
    assert application.start_signup("+576012345678", {}, USER_IP) == "We cannot send an SMS to this number."
    assert application.start_signup(to, {}, USER_IP)
    assert application.start_signup(to, {}, USER_IP).startswith("Wait ")
    vendor.fail("*", "refuse", times=3)
    with pytest.raises(errors.GatewayFailed):
        application.start_signup(new_number(), {}, USER_IP)


@pytest.mark.parametrize("config", [{"purposes": {"signup": {"resend_after": [0]}}}])
def test_a_resend_sends_another_message(application: Application, vendor: Vendor) -> None:
    session: dict[str, Any] = {}
    to = new_number()
    assert application.start_signup(to, session, USER_IP) == 0
    assert application.resend("signup", session) == 0
    assert application.resend("signup", session) is None
    assert len(vendor.messages(to)) == 3
    with pytest.raises(errors.NoSendsLeft):
        application.resend("signup", session)
    assert application.finish_signup(application.pin(to), session) == ("approved", to)


def test_a_login_succeeds_once(application: Application) -> None:
    account = {"id": "user-17", "phone": new_number()}
    session: dict[str, Any] = {}
    assert application.start_login(account, session, USER_IP)
    pin = application.pin(account["phone"])
    assert application.finish_login(wrong(pin), session) == ("incorrect", None)
    assert application.finish_login("12a", session) == ("invalid", None)
    other_browser = {**session, "secret": "another one"}
    with pytest.raises(errors.Mismatch):
        application.finish_login(pin, other_browser)
    second_tab = dict(session)
    assert application.finish_login(pin, session) == ("approved", "user-17")
    assert session == {}
    assert application.finish_login(pin, second_tab) == ("already_approved", None)


def test_a_reset_looks_the_same_with_and_without_an_account(application: Application, vendor: Vendor) -> None:
    phone, nobody = new_number(), new_number()
    accounts = {phone: {"id": "user-18", "phone": phone}}
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    assert round(application.start_reset(phone, accounts, known, USER_IP)) == 30
    assert round(application.start_reset(nobody, accounts, unknown, USER_IP)) == 30
    assert vendor.messages(nobody) == []
    pin = application.pin(phone)
    assert application.finish("password_reset", wrong(pin), known) == ("incorrect", None)
    assert application.finish("password_reset", pin, unknown) == ("incorrect", None)
    assert application.finish_reset("12a", known) == ("invalid", None)
    assert application.finish_reset("12a", unknown) == ("invalid", None)
    assert application.finish_reset(pin, known) == ("approved", "user-18")
    assert application.finish_reset(pin, known) == ("already_approved", None)
