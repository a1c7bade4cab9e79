"""The Python of README.md runs exactly as it is printed there."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from otp_service.api.kit.problems import STATUS
from otp_service.api.verifications import CheckAnswer
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
        with names["api"]:
            yield Application(names, vendor)


async def new_client(database_url: str) -> str:
    database = Database(database_url)
    try:
        return (await clients.create(database, Clock(), "readme")).api_key
    finally:
        database.close()


def test_a_number_is_verified_at_sign_up(application: Application) -> None:
    session: dict[str, Any] = {}
    to = new_number()
    assert application.start_signup(to, session, USER_IP) is None
    assert application.start_signup(to, session, USER_IP) is None  # the same verification: no second message
    pin = application.pin(to)
    assert application.finish_signup(wrong(pin), session) == "This PIN is not correct."
    assert application.finish_signup("x", session) == "A PIN has six digits."
    assert application.finish_signup(f"{pin[:3]} {pin[3:]}", session) is None
    assert session["signup"]["phone"] == to
    assert application.finish_signup(pin, session) == "This PIN has already been used. Request a new one."


def test_sign_up_explains_why_no_message_was_sent(application: Application, vendor: Vendor) -> None:
    to = new_number()
    assert application.start_signup("+576012345678", {}, USER_IP) == "We cannot send an SMS to this number."
    assert application.start_signup(to, {}, USER_IP) is None
    assert application.start_signup(to, {}, USER_IP).startswith("Wait ")
    vendor.fail("*", "refuse", times=3)
    assert application.start_signup(new_number(), {}, USER_IP) == (
        "The message could not be sent. Try again in a minute."
    )


@pytest.mark.parametrize("flow", ["signup", "login", "password_reset"])
def test_nothing_breaks_if_nothing_was_started(application: Application, flow: str) -> None:
    assert application.check(flow, "123456", {}) == "expired"
    assert application.resend(flow, {}) == "This PIN is no longer valid. Request a new one."
    assert application.finish_signup("123456", {}) == "This PIN has expired. Request a new one."
    assert application.finish_login("123456", {}) is None
    assert application.finish_reset("123456", {}) is None
    application.resend_reset({})


def test_the_last_wrong_pin_says_so_at_once(application: Application) -> None:
    session: dict[str, Any] = {}
    to = new_number()
    application.start_signup(to, session, USER_IP)
    pin = application.pin(to)
    said = [application.finish_signup(wrong(pin), session) for _ in range(5)]
    assert said == [*["This PIN is not correct."] * 4, "Too many wrong PINs. Request a new one."]
    assert application.resend("signup", session) == "This PIN is no longer valid. Request a new one."


@pytest.mark.parametrize("config", [{"purposes": {"signup": {"resend_after": [0]}}}])
def test_a_resend_sends_another_message(application: Application, vendor: Vendor) -> None:
    session: dict[str, Any] = {}
    to = new_number()
    application.start_signup(to, session, USER_IP)
    assert application.resend("signup", session) is None
    assert application.resend("signup", session) is None
    assert len(vendor.messages(to)) == 3
    assert application.resend("signup", session).startswith("No more messages can be sent.")
    assert application.finish_signup(application.pin(to), session) is None


def test_a_resend_before_its_time_sends_nothing(application: Application, vendor: Vendor) -> None:
    session: dict[str, Any] = {}
    to = new_number()
    application.start_signup(to, session, USER_IP)
    assert application.resend("signup", session).startswith("Wait ")
    assert len(vendor.messages(to)) == 1


PROXY = [httpx.Response(502, text="<p>"), httpx.Response(503, json={"message": "no"}), httpx.Response(200, json=[])]


@pytest.mark.parametrize("answer", [httpx.ConnectError("no"), httpx.ReadTimeout("late"), *PROXY])
def test_an_unreachable_service_gives_an_error_message(
    application: Application, answer: httpx.Response | httpx.HTTPError
) -> None:
    def away(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    session: dict[str, Any] = {}
    application.start_signup(new_number(), session, USER_IP)
    with httpx.Client(base_url="http://away", transport=httpx.MockTransport(away)) as nobody:
        application.names["api"].close()
        application.names["api"] = nobody
        failed = "The message could not be sent. Try again in a minute."
        assert application.start_signup(new_number(), {}, USER_IP) == failed
        assert application.resend("signup", session) == failed
        assert application.finish_signup("123456", session) == "The PIN could not be checked. Try again in a minute."


def test_an_error_is_logged_for_operators(application: Application, caplog: pytest.LogCaptureFixture) -> None:
    application.names["api"].headers["Authorization"] = "Bearer wrong"
    with caplog.at_level("WARNING", logger="pins"):
        application.start_signup(new_number(), {}, USER_IP)
    assert caplog.messages == ["unauthorized No valid API key; send one as `Authorization: Bearer ...`."]


def test_every_result_of_a_check_has_a_message(application: Application) -> None:
    results = CheckAnswer.model_json_schema()["properties"]["result"]["enum"]
    assert {*results, "invalid", "error"} - {"approved"} == application.names["CHECK_ERRORS"].keys()
    assert application.names["SEND_ERRORS"].keys() <= STATUS.keys()


def test_a_login_succeeds_once(application: Application) -> None:
    account = {"id": "user-17", "phone": new_number()}
    session: dict[str, Any] = {}
    assert application.start_login(account, session, USER_IP) is None
    pin = application.pin(account["phone"])
    assert application.finish_login(wrong(pin), session) is None
    other_browser = {**session, "token": "another one"}
    assert application.finish_login(pin, other_browser) is None
    second_tab = dict(session)
    assert application.finish_login(pin, session) == "user-17"
    assert session == {}
    assert application.finish_login(pin, second_tab) is None


def test_a_reset_looks_the_same_with_and_without_an_account(application: Application, vendor: Vendor) -> None:
    accounts = {"ana@example.com": {"id": "user-18", "phone": new_number()}}
    sent = len(vendor.messages())
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    assert application.start_reset("ana@example.com", accounts, known, USER_IP) is None
    assert application.start_reset("eve@example.com", accounts, unknown, USER_IP) is None
    assert application.resend_reset(known) is application.resend_reset(unknown) is None
    assert len(vendor.messages()) == sent + 1
    assert known.keys() == unknown.keys()
    assert known["password_reset"].keys() == unknown["password_reset"].keys()
    assert len(known["password_reset"]["verification"]) == len(unknown["password_reset"]["verification"])
    pin = application.pin(accounts["ana@example.com"]["phone"])
    assert application.finish_reset(pin, unknown) is None
    assert application.finish_reset(wrong(pin), known) is None
    assert application.finish_reset(pin, known) == "user-18"
    assert application.finish_reset(pin, known) is None


def test_a_pin_for_one_account_never_resets_another(application: Application) -> None:
    own, other = new_number(), new_number()
    accounts = {"eve@example.com": {"id": "eve", "phone": own}, "ana@example.com": {"id": "ana", "phone": other}}
    session: dict[str, Any] = {}
    application.start_reset(
        "ana@example.com", accounts, {}, USER_IP
    )  # starts the pause of her number: the next start is rejected
    application.start_reset("eve@example.com", accounts, session, USER_IP)
    application.start_reset("ana@example.com", accounts, session, USER_IP)
    assert application.finish_reset(application.pin(own), session) is None
