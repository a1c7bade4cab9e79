"""examples/webapp in a real browser, on the running service with the simulated gateway."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pyotp
import pytest
from argon2 import PasswordHasher, profiles
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from otp_service_client import AsyncClient, errors
from playwright.sync_api import Browser, Locator, Page, Request, expect

from examples.webapp import messages
from examples.webapp.accounts import Account, Accounts
from examples.webapp.app import create_app as create_webapp
from examples.webapp.sessions import Session, Sessions
from otp_service.api.kit.problems import STATUS
from otp_service.api.verifications import CheckResult
from otp_service.app import create_app
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients import clients
from tests.support.browser import chromium
from tests.support.processes import together
from tests.support.servers import running
from tests.support.service import make_settings, new_number, wrong
from tests.support.vendor import Vendor

PASSWORD = "correct horse"
CHEAP_HASHER = PasswordHasher.from_parameters(profiles.CHEAPEST)
POLICY = {
    "purposes": {
        "signup": {"resend_after": [1, 60]},
        "login": {"resend_after": [60]},
        "password_reset": {"resend_after": [60]},
    },
    "limits": {"pause_per_number": 0, "sends_per_user_ip": "", "sends_per_number": ""},
}


@dataclass(frozen=True)
class Site:
    """The running application."""

    url: str
    vendor: Vendor
    accounts: Accounts
    sessions: Sessions
    clock: Clock

    def pin(self, to: str) -> str:
        """Returns the PIN of the newest message to a number."""
        return str(next(message["pin"] for message in self.vendor.messages(to) if message["pin"]))

    def value(self, secret: str) -> str:
        """Returns what an authenticator app shows, half a minute later than before: each value works once."""
        self.clock.offset += 30
        return pyotp.TOTP(secret).at(int(self.clock.now()))

    def add_account(self, phone: str) -> Account:
        """Adds an account with PASSWORD, as a sign-up does."""
        return self.accounts.add(phone, CHEAP_HASHER.hash(PASSWORD))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def site(migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("examples.webapp.accounts._hasher", CHEAP_HASHER)
    monkeypatch.setattr("examples.webapp.accounts._NOBODY", CHEAP_HASHER.hash(""))
    service_app = create_app(make_settings(migrated, vendor.base_url, POLICY))
    with running(service_app) as service:
        (key,) = together(lambda: asyncio.run(new_client(migrated)))  # playwright has the loop of this thread
        otp = AsyncClient(service, key)
        app = create_webapp(otp, f"{vendor.url}/")
        with running(app) as url:
            yield Site(url, vendor, app.state.accounts, app.state.sessions, service_app.state.context.clock)


async def new_client(database_url: str) -> str:
    database = Database(database_url)
    try:
        return (await clients.create(database, Clock(), "webapp")).api_key
    finally:
        database.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[OpenPage]:
    """Opens the first page in a browser of its own. It fails for any request to another host, and for any error."""
    contexts = []
    problems: list[str] = []

    def note_foreign(request: Request) -> None:
        if not request.url.startswith(site.url):
            problems.append(request.url)

    def make(**options: Any) -> Page:
        context = browser.new_context(base_url=site.url, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", note_foreign)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto("/")
        return page

    yield make
    for context in contexts:
        context.close()
    assert not problems


def fill(page: Page, button: str, **fields: str) -> None:
    labels = {
        "phone": "Mobile number",
        "password": "assword",
        "pin": "PIN",
        "value": "Six-digit code",
        "code": "Recovery code",
    }
    for name, value in fields.items():
        page.get_by_label(labels[name]).fill(value)
    page.get_by_role("button", name=button).click()


def enter(page: Page, site: Site, phone: str) -> None:
    """Logs a new account in as a sign-up does, without its pages."""
    session = site.sessions.log_in(Session(), site.add_account(phone).id)
    page.context.add_cookies([{"name": "session", "value": session.id, "url": site.url}])
    page.goto("/")
    expect(page.get_by_role("heading")).to_have_text("You are logged in")


def alert(page: Page) -> str:
    return page.get_by_role("alert").inner_text()


# The only script counts down to the next message: without it, the forms are the same.
WITHOUT_SCRIPTS = pytest.mark.parametrize("scripts", [True, pytest.param(False, marks=pytest.mark.long)])


@WITHOUT_SCRIPTS
def test_a_number_is_verified_at_sign_up(open_page: OpenPage, site: Site, scripts: bool) -> None:
    page, phone = open_page(java_script_enabled=scripts), new_number()
    page.get_by_role("link", name="Create an account").click()
    fill(page, "Create the account", phone=f"{phone[:3]} {phone[3:6]}-{phone[6:]}", password=PASSWORD)
    field = page.get_by_label("PIN")
    assert [field.get_attribute(name) for name in ("autocomplete", "inputmode")] == ["one-time-code", "numeric"]
    pin = site.pin(phone)
    fill(page, "Continue", pin=wrong(pin))
    assert alert(page) == "This PIN is not correct. You have 4 tries left."
    fill(page, "Continue", pin="12")
    assert alert(page) == "A PIN has six digits."
    assert site.accounts.of_phone(phone) is None
    fill(page, "Continue", pin=f"{pin[:3]} {pin[3:]}")
    expect(page.get_by_role("heading")).to_have_text("You are logged in")
    assert site.accounts.of_phone(phone)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading")).to_have_text("Welcome")


@WITHOUT_SCRIPTS
def test_a_login_needs_the_password_and_the_pin(open_page: OpenPage, site: Site, scripts: bool) -> None:
    phone = new_number()
    site.add_account(phone)
    page = open_page(java_script_enabled=scripts)
    page.get_by_role("link", name="Log in").click()
    sent = len(site.vendor.messages(phone))
    for number, password in [(phone, "wrong horse"), (new_number(), PASSWORD)]:
        fill(page, "Log in", phone=number, password=password)
        assert alert(page) == "The number or the password is wrong."
    assert len(site.vendor.messages(phone)) == sent
    fill(page, "Log in", phone=phone, password=PASSWORD)
    assert f"ends in {phone[-2:]}" in page.content()
    assert phone not in page.content()
    before = page.context.cookies()
    fill(page, "Continue", pin=site.pin(phone))
    expect(page.get_by_role("heading")).to_have_text("You are logged in")
    assert page.context.cookies()[0]["value"] != before[0]["value"]


@WITHOUT_SCRIPTS
def test_a_password_is_reset_and_every_session_ends(open_page: OpenPage, site: Site, scripts: bool) -> None:
    phone = new_number()
    elsewhere = open_page()
    enter(elsewhere, site, phone)
    page = open_page(java_script_enabled=scripts)
    page.goto("/reset")
    fill(page, "Send a PIN", phone=phone)
    fill(page, "Continue", pin=site.pin(phone))
    fill(page, "Set the password", password="battery staple")
    expect(page.get_by_role("status").first).to_contain_text("Your new password is set.")
    elsewhere.reload()
    expect(elsewhere.get_by_role("heading")).to_have_text("Welcome")
    page.goto("/login")
    fill(page, "Log in", phone=phone, password=PASSWORD)
    assert alert(page) == "The number or the password is wrong."
    fill(page, "Log in", phone=phone, password="battery staple")
    expect(page.get_by_role("heading")).to_have_text("Enter the PIN")


@pytest.mark.long
def test_a_reset_looks_the_same_without_an_account(open_page: OpenPage, site: Site) -> None:
    known, unknown = new_number(), new_number()
    site.add_account(known)
    seen = []
    for phone in (known, unknown):
        page = open_page()
        page.goto("/reset")
        fill(page, "Send a PIN", phone=phone)
        pages = [shown(page, phone)]
        right = site.pin(known)
        for _ in range(5):
            fill(page, "Continue", pin=wrong(right))
            pages.append(alert(page))
        fill(page, "Continue", pin=right)
        seen.append([*pages, alert(page)])
    assert seen[0] == seen[1]
    assert seen[0][-1] == "Too many wrong PINs. Please start again."
    assert site.vendor.messages(unknown) == []


def shown(page: Page, phone: str) -> str:
    """Returns the text of the page without the number and the countdown."""
    hint = page.locator(".resend .hint").inner_text()
    return page.locator("main").inner_text().replace(phone, "").replace(hint, "")


@pytest.mark.long
def test_the_button_for_another_message_waits_for_its_time(open_page: OpenPage, site: Site) -> None:
    page, phone = open_page(), new_number()
    page.goto("/signup")
    fill(page, "Create the account", phone=phone, password=PASSWORD)
    again = page.get_by_role("button", name="another message")
    expect(again).to_be_enabled()
    again.click()
    expect(again).to_be_disabled()
    expect(page.locator(".resend .hint")).to_contain_text("You can ask for another message in ")
    assert len(site.vendor.messages(phone)) == 2
    fill(page, "Continue", pin=site.pin(phone))
    expect(page.get_by_role("heading")).to_have_text("You are logged in")


@pytest.mark.long
def test_without_scripts_the_server_says_how_long_to_wait(open_page: OpenPage) -> None:
    page, phone = open_page(java_script_enabled=False), new_number()
    page.goto("/reset")
    fill(page, "Send a PIN", phone=phone)
    page.get_by_role("button", name="another message").click()
    assert alert(page).startswith("Please wait ")


@pytest.mark.long
def test_a_pin_is_worth_nothing_in_another_browser(open_page: OpenPage, site: Site) -> None:
    page, phone = open_page(), new_number()
    page.goto("/signup")
    fill(page, "Create the account", phone=phone, password=PASSWORD)
    other = open_page()
    other.goto("/signup")
    fill(other, "Create the account", phone=phone, password="another one")
    newest = site.pin(phone)
    fill(page, "Continue", pin=newest)
    assert "not correct" in alert(page)
    fill(other, "Continue", pin=newest)
    expect(other.get_by_role("heading")).to_have_text("You are logged in")


def test_sign_up_changes_nothing_of_an_account_that_exists(open_page: OpenPage, site: Site) -> None:
    phone = new_number()
    account = site.add_account(phone)
    before = account.password_hash
    page = open_page()
    page.goto("/signup")
    fill(page, "Create the account", phone=phone, password="another one")
    fill(page, "Continue", pin=site.pin(phone))
    expect(page.get_by_role("status").first).to_contain_text("This number already has an account.")
    assert site.accounts.of_phone(phone) is account
    assert account.password_hash == before


def test_a_form_without_the_token_of_its_session_is_refused(open_page: OpenPage, site: Site) -> None:
    page, phone = open_page(), new_number()
    for form in ({}, {"csrf": ""}, {"csrf": "é"}, {"csrf": "x" * 9000}):
        answer = page.request.post("/signup", form={"phone": phone, "password": PASSWORD, **form})
        assert answer.status == 403
    assert site.vendor.messages(phone) == []


@pytest.mark.long
def test_what_a_user_types_stays_text(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/reset")
    fill(page, "Send a PIN", phone='"><b>x</b>')
    assert alert(page) == messages.REFUSALS["invalid_number"]
    assert page.get_by_label("Mobile number").input_value() == '"><b>x</b>'


def add_app(page: Page, site: Site) -> tuple[str, list[str]]:
    """Adds an authenticator app to an account without factors; returns its secret and the recovery codes."""
    page.goto("/security")
    page.get_by_role("button", name="Add an authenticator app").click()
    secret = secret_on(page)
    fill(page, "Add this app", value=site.value(secret))
    codes = page.locator(".codes li").all_inner_texts()
    page.get_by_role("link", name="I have saved them").click()
    return secret, codes


def secret_on(page: Page) -> str:
    return page.locator(".secret").inner_text().replace(" ", "")


def add_phone(page: Page, site: Site, secret: str, phone: str) -> None:
    """Adds a phone to an account with an app."""
    page.get_by_role("link", name="Add a phone").click()
    fill(page, "Send a PIN", phone=phone)
    expect(title(page)).to_have_text("Confirm that it is you")
    assert site.vendor.messages(phone) == []
    fill(page, "Continue", value=site.value(secret))
    finish_phone(page, site, phone)


def finish_phone(page: Page, site: Site, phone: str) -> None:
    fill(page, "Continue", pin=site.pin(phone))
    expect(page.get_by_role("status").first).to_have_text("Your phone is added.")


def log_in(page: Page, phone: str) -> None:
    page.goto("/login")
    fill(page, "Log in", phone=phone, password=PASSWORD)


def log_in_and_be_remembered(page: Page, site: Site, phone: str) -> None:
    secret, _ = add_app(page, site)
    log_out(page)
    log_in(page, phone)
    page.get_by_label("Do not ask again").check()
    fill(page, "Continue", value=site.value(secret))
    expect(title(page)).to_have_text("You are logged in")


def log_out(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Log out").click()


def title(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


@WITHOUT_SCRIPTS
def test_an_app_is_added_and_the_next_login_asks_for_it(open_page: OpenPage, site: Site, scripts: bool) -> None:
    page, phone = open_page(java_script_enabled=scripts), new_number()
    enter(page, site, phone)
    page.get_by_role("link", name="Security").click()
    page.get_by_role("button", name="Add an authenticator app").click()
    fill(page, "Add this app", value="12")
    assert alert(page) == messages.MALFORMED["code"]
    fill(page, "Add this app", value=wrong(site.value(secret_on(page))))
    assert alert(page) == "This code is not correct."
    secret, codes = add_app(page, site)
    assert len(set(codes)) == 10
    expect(page.get_by_text("You have 10 left")).to_be_visible()
    log_out(page)
    log_in(page, phone)
    value = site.value(secret)
    fill(page, "Continue", value=wrong(value))
    assert alert(page) == "This code is not correct. You have 4 tries left."
    fill(page, "Continue", value="12")
    assert alert(page) == messages.MALFORMED["code"]
    fill(page, "Continue", value=value)
    expect(title(page)).to_have_text("You are logged in")
    log_out(page)
    log_in(page, phone)
    fill(page, "Continue", value=value)
    assert "not correct" in alert(page)
    page.goto("/")
    expect(title(page)).to_have_text("Welcome")


@pytest.mark.long
def test_a_phone_is_added_after_a_challenge_and_is_another_way_to_log_in(open_page: OpenPage, site: Site) -> None:
    page, phone, other = open_page(), new_number(), new_number()
    enter(page, site, phone)
    secret, _ = add_app(page, site)
    add_phone(page, site, secret, other)
    log_out(page)
    log_in(page, phone)
    page.get_by_role("button", name=f"Phone ...{other[-2:]}").click()
    assert f"ends in {other[-2:]}" in page.content()
    assert other not in page.content()
    fill(page, "Continue", pin=site.pin(other))
    expect(title(page)).to_have_text("You are logged in")


@pytest.mark.long
def test_a_factor_has_a_name_and_one_is_used_first(open_page: OpenPage, site: Site) -> None:
    page, phone, other = open_page(), new_number(), new_number()
    enter(page, site, phone)
    secret, _ = add_app(page, site)
    expect(page.get_by_role("button", name="Use first")).to_have_count(0)
    add_phone(page, site, secret, other)
    page.get_by_text("Rename").first.click()
    page.get_by_label("Name").first.fill("<b>Mine</b>")
    page.get_by_role("button", name="Save the name").first.click()
    expect(page.get_by_text("<b>Mine</b>", exact=True)).to_be_visible()
    page.get_by_role("button", name="Use first Phone").click()
    expect(page.get_by_text("used first")).to_be_visible()
    log_out(page)
    log_in(page, phone)
    expect(page.get_by_text(f"phone that ends in {other[-2:]}")).to_be_visible()
    page.get_by_role("button", name="<b>Mine</b>").click()
    expect(page.get_by_text("Open <b>Mine</b>")).to_be_visible()


@pytest.mark.long
def test_a_remembered_browser_is_asked_for_nothing_until_it_is_forgotten(open_page: OpenPage, site: Site) -> None:
    page, phone = open_page(), new_number()
    enter(page, site, phone)
    log_in_and_be_remembered(page, site, phone)
    (cookie,) = [each for each in page.context.cookies() if each["name"] == "device"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    log_out(page)
    log_in(page, phone)
    expect(title(page)).to_have_text("You are logged in")
    page.goto("/security")
    page.get_by_role("button", name="Replace them").click()
    expect(title(page)).to_have_text("Confirm that it is you")
    page.goto("/security")
    page.get_by_role("button", name="Forget it").click()
    expect(page.get_by_text("Remembered browsers")).to_have_count(0)
    log_out(page)
    log_in(page, phone)
    expect(title(page)).to_have_text("One more step")


@pytest.mark.long
def test_a_new_password_forgets_every_browser(open_page: OpenPage, site: Site) -> None:
    page, phone = open_page(), new_number()
    enter(page, site, phone)
    log_in_and_be_remembered(page, site, phone)
    page.goto("/reset")
    fill(page, "Send a PIN", phone=phone)
    fill(page, "Continue", pin=site.pin(phone))
    fill(page, "Set the password", password=PASSWORD)
    log_in(page, phone)
    expect(title(page)).to_have_text("One more step")


@pytest.mark.long
def test_if_no_message_can_be_sent_another_factor_logs_in(open_page: OpenPage, site: Site) -> None:
    page, phone, other = open_page(), new_number(), new_number()
    enter(page, site, phone)
    secret, _ = add_app(page, site)
    add_phone(page, site, secret, other)
    page.locator(".list li", has_text="Phone").get_by_role("button", name="Use first").click()
    log_out(page)
    site.vendor.fail("*", "refuse", times=None)
    log_in(page, phone)
    assert alert(page) == messages.REFUSALS["gateway_failed"]
    expect(page.get_by_label("Recovery code")).to_be_visible()
    page.get_by_role("button", name="Authenticator app").click()
    fill(page, "Continue", value=site.value(secret))
    expect(title(page)).to_have_text("You are logged in")


@pytest.mark.long
def test_after_a_failed_switch_the_page_shows_the_phone_and_the_way_back(open_page: OpenPage, site: Site) -> None:
    page, phone, other = open_page(), new_number(), new_number()
    enter(page, site, phone)
    secret, _ = add_app(page, site)
    add_phone(page, site, secret, other)
    log_out(page)
    log_in(page, phone)
    site.vendor.fail("*", "refuse", times=None)
    page.get_by_role("button", name=f"Send a PIN to Phone ...{other[-2:]}").click()
    assert alert(page) == messages.REFUSALS["gateway_failed"]
    expect(page.get_by_label("PIN")).to_be_visible()
    page.get_by_role("button", name="Authenticator app").click()
    fill(page, "Continue", value=site.value(secret))
    expect(title(page)).to_have_text("You are logged in")


@pytest.mark.long
def test_a_challenge_that_has_ended_shows_only_the_way_to_a_new_one(open_page: OpenPage, site: Site) -> None:
    page, phone = open_page(), new_number()
    enter(page, site, phone)
    secret, _ = add_app(page, site)
    log_out(page)
    log_in(page, phone)
    value = wrong(site.value(secret))
    for _ in range(5):
        fill(page, "Continue", value=value)
    assert alert(page) == "Too many wrong codes. Please start again."
    expect(page.get_by_role("textbox")).to_have_count(0)
    page.get_by_role("link", name="Start again").click()
    log_in(page, phone)
    for _ in range(5):
        fill(page, "Continue", value=value)
    page.get_by_role("link", name="Start again").click()
    log_in(page, phone)
    fill(page, "Continue", value=value)
    assert alert(page).startswith("Too many wrong codes. Please wait ")
    expect(page.get_by_role("link", name="Use a recovery code")).to_be_visible()


@pytest.mark.long
def test_who_lost_the_phone_logs_in_with_a_recovery_code_and_replaces_it(open_page: OpenPage, site: Site) -> None:
    page, phone, new = open_page(), new_number(), new_number()
    enter(page, site, phone)
    _, codes = add_app(page, site)
    log_out(page)
    log_in(page, phone)
    page.get_by_role("link", name="Use a recovery code").click()
    fill(page, "Continue", code="aaaa-aaaa-aa")
    assert "not correct" in alert(page)
    fill(page, "Continue", code=codes[0].upper().replace("-", " "))
    expect(page.get_by_role("status").first).to_contain_text("You used a recovery code.")
    expect(page.get_by_text("You have 9 left")).to_be_visible()
    page.get_by_role("link", name="Add a phone").click()
    fill(page, "Send a PIN", phone=new)
    finish_phone(page, site, new)
    page.locator(".list li", has_text="Authenticator app").get_by_role("button", name="Remove").click()
    page.get_by_role("button", name=f"Phone ...{new[-2:]}").click()
    fill(page, "Continue", pin=site.pin(new))
    expect(page.get_by_role("status").first).to_have_text("It is removed.")
    expect(page.locator(".list li")).to_have_count(1)


@pytest.mark.long
def test_without_the_last_factor_a_login_needs_a_pin_to_the_number_again(open_page: OpenPage, site: Site) -> None:
    page, phone = open_page(), new_number()
    enter(page, site, phone)
    secret, _ = add_app(page, site)
    page.get_by_role("button", name="Remove").click()
    fill(page, "Continue", value=site.value(secret))
    expect(page.get_by_role("status").first).to_have_text("It is removed.")
    log_out(page)
    log_in(page, phone)
    fill(page, "Continue", pin=site.pin(phone))
    expect(title(page)).to_have_text("You are logged in")


@pytest.mark.long
def test_nobody_changes_a_factor_of_another_account(open_page: OpenPage, site: Site) -> None:
    victim, attacker = open_page(), open_page()
    for page in (victim, attacker):
        enter(page, site, new_number())
    add_app(victim, site)
    factor = victim.locator("input[name=id]").first.get_attribute("value") or ""
    attacker.goto("/security")
    csrf = attacker.locator("input[name=csrf]").first.get_attribute("value") or ""
    for path in ("factor", "remove", "browser"):
        answer = attacker.request.post(f"/security/{path}", form={"csrf": csrf, "id": factor, "name": "stolen"})
        assert answer.status == 200
    victim.reload()
    expect(victim.locator(".list li", has_text="Authenticator app")).to_have_count(1)
    assert open_page().request.get("/security").url.endswith("/login")


def test_every_result_and_every_refusal_has_words() -> None:
    results = get_args(CheckResult.__value__)
    assert {*results} - {"approved"} == messages.RESULTS.keys()
    assert messages.REFUSALS.keys() <= STATUS.keys()
    assert messages.of_error(errors.Unreachable()) == messages.OTHER


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (1.2, "2 seconds"), (120, "120 seconds"), (121, "3 minutes"), (7201, "3 hours")],
)
def test_a_duration_is_rounded_up(seconds: float, words: str) -> None:
    assert messages.duration(seconds) == words


def on_every_screen(first: tuple[str, int]) -> pytest.MarkDecorator:
    """A colour scheme and a width by default, and the others with --all."""
    others = [screen for screen in itertools.product(("light", "dark"), (390, 1280)) if screen != first]
    return pytest.mark.parametrize(
        ("scheme", "width"), [first, *(pytest.param(*screen, marks=pytest.mark.long) for screen in others)]
    )


@on_every_screen(("light", 390))
def test_every_page_is_accessible_and_fits(open_page: OpenPage, site: Site, scheme: str, width: int) -> None:
    page, phone = open_page(color_scheme=scheme, viewport={"width": width, "height": 844}), new_number()
    looks_right(page)
    for path in ("/signup", "/login", "/reset"):
        page.goto(path)
        looks_right(page)
    fill(page, "Send a PIN", phone=phone)
    looks_right(page)
    fill(page, "Continue", pin="123456")
    looks_right(page)
    enter(page, site, phone)
    looks_right(page)


@pytest.mark.long
@on_every_screen(("dark", 1280))
def test_every_page_of_second_factors_is_accessible_and_fits(
    open_page: OpenPage, site: Site, scheme: str, width: int
) -> None:
    page, phone = open_page(color_scheme=scheme, viewport={"width": width, "height": 844}), new_number()
    enter(page, site, phone)
    page.goto("/security")
    looks_right(page)
    page.get_by_role("button", name="Add an authenticator app").click()
    looks_right(page)
    fill(page, "Add this app", value=site.value(secret_on(page)))
    looks_right(page)
    for path in ("/security", "/security/phone"):
        page.goto(path)
        looks_right(page)
    log_out(page)
    log_in(page, phone)
    looks_right(page)
    page.get_by_role("link", name="Use a recovery code").click()
    looks_right(page)


def looks_right(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
