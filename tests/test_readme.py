"""README.md: its Python runs as it stands there, its policy and its settings are the shipped ones."""

import asyncio
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from otp_service.api.answers import CheckAnswer
from otp_service.api.problems import STATUS
from otp_service.app import create_app
from otp_service.argon2_cost import Argon2Cost
from otp_service.clock import Clock
from otp_service.config.policy import Failures, Limits, Policy, Purpose, Retention, load_policy
from otp_service.config.settings import ServiceSettings, variables_of
from otp_service.services import clients
from otp_service.storage.engine import Database
from tests.support.servers import running
from tests.support.service import make_settings, new_number, wrong
from tests.support.vendor import Vendor

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
USER_IP = "192.0.2.7"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Application:
    """What README.md makes of an application: its functions, by name."""

    def __init__(self, names: dict[str, Any], vendor: Vendor) -> None:
        self.names = names
        self._vendor = vendor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = self.names[name]
        return function

    def pin(self, to: str) -> str:
        """The PIN that the person reads."""
        return str(self._vendor.messages(to)[0]["pin"])


@pytest.fixture
def config() -> dict[str, Any]:
    """The policy file; a test can have another one."""
    return {}


@pytest.fixture
def application(
    migrated: str, vendor: Vendor, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    with running(create_app(make_settings(migrated, vendor.base_url, config))) as url:
        monkeypatch.setenv("PIN_SERVICE", url)
        monkeypatch.setenv("PIN_SERVICE_KEY", asyncio.run(new_client(migrated)))
        names: dict[str, Any] = {}
        for block in blocks("python"):
            exec(block, names)  # noqa: S102 - that it runs as it is printed is what is tested
        with names["pins"]:
            yield Application(names, vendor)


async def new_client(database_url: str) -> str:
    database = Database(database_url)
    try:
        return (await clients.create(database, Clock(), "readme")).api_key
    finally:
        database.close()


def test_a_number_is_verified_at_sign_up(application: Application) -> None:
    state: dict[str, Any] = {}
    to = new_number()
    assert application.start_signup(to, state, USER_IP) is None
    assert application.start_signup(to, state, USER_IP) is None  # the same verification: no second message
    pin = application.pin(to)
    assert application.finish_signup(wrong(pin), state) == "This is not the PIN of the message."
    assert application.finish_signup("x", state) == "A PIN has six digits."
    assert application.finish_signup(f"{pin[:3]} {pin[3:]}", state) is None
    assert state["signup"]["phone"] == to
    assert application.finish_signup(pin, state) == "This PIN has been used. Ask for a new one."


def test_sign_up_says_what_to_do_about_a_refusal(application: Application, vendor: Vendor) -> None:
    to = new_number()
    assert application.start_signup("+576012345678", {}, USER_IP) == "We cannot send an SMS to this number."
    assert application.start_signup(to, {}, USER_IP) is None
    assert application.start_signup(to, {}, USER_IP).startswith("Wait ")
    vendor.fail("*", "refuse", times=3)
    assert application.start_signup(new_number(), {}, USER_IP) == (
        "The message could not be sent. Try again in a minute."
    )


@pytest.mark.parametrize("flow", ["signup", "login", "password_reset"])
def test_nothing_breaks_where_nothing_was_started(application: Application, flow: str) -> None:
    assert application.check(flow, "123456", {}) == "expired"
    assert application.send_again(flow, {}) == "This PIN is over. Ask for a new one."
    assert application.finish_signup("123456", {}) == "This PIN is too old. Ask for a new one."
    assert application.finish_login("123456", {}) is None
    assert application.finish_reset("123456", {}) is None
    application.send_reset_again({})


def test_the_last_wrong_pin_says_so_at_once(application: Application) -> None:
    state: dict[str, Any] = {}
    to = new_number()
    application.start_signup(to, state, USER_IP)
    pin = application.pin(to)
    said = [application.finish_signup(wrong(pin), state) for _ in range(5)]
    assert said == [*["This is not the PIN of the message."] * 4, "Too many wrong PINs. Ask for a new one."]
    assert application.send_again("signup", state) == "This PIN is over. Ask for a new one."


@pytest.mark.parametrize("config", [{"purposes": {"signup": {"resend_after": [0]}}}])
def test_a_message_is_sent_again(application: Application, vendor: Vendor) -> None:
    state: dict[str, Any] = {}
    to = new_number()
    application.start_signup(to, state, USER_IP)
    assert application.send_again("signup", state) is None
    assert application.send_again("signup", state) is None
    assert len(vendor.messages(to)) == 3
    assert application.send_again("signup", state).startswith("That was the last message.")
    assert application.finish_signup(application.pin(to), state) is None


def test_a_message_is_sent_again_after_a_while(application: Application, vendor: Vendor) -> None:
    state: dict[str, Any] = {}
    to = new_number()
    application.start_signup(to, state, USER_IP)
    assert application.send_again("signup", state).startswith("Wait ")
    assert len(vendor.messages(to)) == 1


PROXY = [httpx.Response(502, text="<p>"), httpx.Response(503, json={"message": "no"}), httpx.Response(200, json=[])]


@pytest.mark.parametrize("answer", [httpx.ConnectError("no"), httpx.ReadTimeout("late"), *PROXY])
def test_a_service_that_is_away_is_a_sentence(
    application: Application, answer: httpx.Response | httpx.HTTPError
) -> None:
    def away(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    state: dict[str, Any] = {}
    application.start_signup(new_number(), state, USER_IP)
    with httpx.Client(base_url="http://away", transport=httpx.MockTransport(away)) as nobody:
        application.names["pins"].close()
        application.names["pins"] = nobody
        failed = "The message could not be sent. Try again in a minute."
        assert application.start_signup(new_number(), {}, USER_IP) == failed
        assert application.send_again("signup", state) == failed
        assert application.finish_signup("123456", state) == "The PIN could not be checked. Try again in a minute."


def test_what_a_person_cannot_mend_is_in_the_log(application: Application, caplog: pytest.LogCaptureFixture) -> None:
    application.names["pins"].headers["Authorization"] = "Bearer wrong"
    with caplog.at_level("WARNING", logger="pins"):
        application.start_signup(new_number(), {}, USER_IP)
    assert caplog.messages == ["unauthorized Send a valid API key as `Authorization: Bearer ...`."]


def test_every_result_of_a_check_has_words(application: Application) -> None:
    results = CheckAnswer.model_json_schema()["properties"]["result"]["enum"]
    assert {*results, "invalid", "refused"} - {"approved"} == application.names["SAY"].keys()
    assert application.names["WHY_NOT"].keys() <= STATUS.keys()


def test_login_signs_in_whoever_has_the_pin_once(application: Application) -> None:
    account = {"id": "user-17", "phone": new_number()}
    state: dict[str, Any] = {}
    assert application.start_login(account, state, USER_IP) is None
    pin = application.pin(account["phone"])
    assert application.finish_login(wrong(pin), state) is None
    other_browser = {**state, "session": "another one"}
    assert application.finish_login(pin, other_browser) is None
    second_tab = dict(state)
    assert application.finish_login(pin, state) == "user-17"
    assert state == {}
    assert application.finish_login(pin, second_tab) is None


def test_a_reset_looks_alike_with_and_without_an_account(application: Application, vendor: Vendor) -> None:
    accounts = {"ana@example.com": {"id": "user-18", "phone": new_number()}}
    sent = len(vendor.messages())
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    assert application.start_reset("ana@example.com", accounts, known, USER_IP) is None
    assert application.start_reset("eve@example.com", accounts, unknown, USER_IP) is None
    assert application.send_reset_again(known) is application.send_reset_again(unknown) is None
    assert len(vendor.messages()) == sent + 1
    assert known.keys() == unknown.keys()
    assert known["password_reset"].keys() == unknown["password_reset"].keys()
    assert len(known["password_reset"]["verification"]) == len(unknown["password_reset"]["verification"])
    pin = application.pin(accounts["ana@example.com"]["phone"])
    assert application.finish_reset(pin, unknown) is None
    assert application.finish_reset(wrong(pin), known) is None
    assert application.finish_reset(pin, known) == "user-18"
    assert application.finish_reset(pin, known) is None


def test_a_reset_of_another_account_never_takes_the_pin_of_the_first(application: Application) -> None:
    own, other = new_number(), new_number()
    accounts = {"eve@example.com": {"id": "eve", "phone": own}, "ana@example.com": {"id": "ana", "phone": other}}
    state: dict[str, Any] = {}
    application.start_reset(
        "ana@example.com", accounts, {}, USER_IP
    )  # now her number has its pause: a start is refused
    application.start_reset("eve@example.com", accounts, state, USER_IP)
    application.start_reset("ana@example.com", accounts, state, USER_IP)
    assert application.finish_reset(application.pin(own), state) is None


def test_the_policy_is_the_shipped_one_and_complete(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    path = tmp_path / "policy.toml"
    path.write_text(text, "utf-8")
    assert load_policy(path) == Policy()
    table = tomllib.loads(text)
    signup = table["purposes"]["signup"]
    assert table.keys() == Policy.model_fields.keys()
    assert table["purposes"].keys() == Policy().purposes.keys()
    assert signup.keys() == Purpose.model_fields.keys() - {"name"}
    assert signup["text"] == Policy().purposes["signup"].text
    assert table["limits"].keys() == Limits.model_fields.keys()
    assert table["limits"]["failures_per_number"].keys() == Failures.model_fields.keys()
    assert table["retention"].keys() == Retention.model_fields.keys()


def test_the_table_of_settings_is_complete_and_its_defaults_are_true() -> None:
    told = dict(re.findall(r"^\| `(OTP_[A-Z0-9_]+)` \| (.*?) \|", README, re.MULTILINE))
    assert told == {f"OTP_{name.upper()}": default_of(name) for name in variables_of(ServiceSettings)}


def default_of(name: str) -> str:
    default = ServiceSettings.model_fields[name].default
    if default is PydanticUndefined:
        return "needed"
    if default is None or default == ():
        return "none"
    if isinstance(default, Argon2Cost):
        return f"`m={default.memory_kib},t={default.iterations},p={default.lanes}`"
    assert not isinstance(default, SecretStr)
    return f"`{default:g}`" if type(default) is float else f"`{str(default).lower()}`"


def test_links_lead_to_files_that_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link.partition("#")[0]).is_file()] == []
