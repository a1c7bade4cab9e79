"""/docs in a real browser: wide and narrow, light and dark."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from otp_service.app import create_app
from tests.support.browser import chromium
from tests.support.servers import running
from tests.support.service import make_settings
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

NARROW = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def url(migrated: str, vendor: Vendor) -> Iterator[str]:
    with running(create_app(make_settings(migrated, vendor.base_url, {}), background_work=False)) as found:
        yield found


@pytest.fixture
def problems() -> Iterator[list[str]]:
    """What a page did wrong: requests to another host, errors of its script or against its policy."""
    found: list[str] = []
    yield found
    assert not found


def opened(browser: Browser, url: str, problems: list[str], **options: Any) -> Page:
    page = browser.new_context(**options).new_page()
    page.on("request", lambda request: None if request.url.startswith(url) else problems.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto(f"{url}/docs")
    return page


def test_every_link_of_the_contents_shows_its_place(browser: Browser, url: str, problems: list[str]) -> None:
    page = opened(browser, url, problems)
    page.locator("nav a", has_text="/verifications/{id}/checks").click()
    expect(page.locator("[id='verifications.check']")).to_be_in_viewport()
    missing = page.locator("nav a").evaluate_all(
        "links => links.map(a => a.hash.slice(1)).filter(id => !document.getElementById(id))"
    )
    assert missing == []


def test_an_example_is_copied_with_the_address_of_the_server(browser: Browser, url: str, problems: list[str]) -> None:
    page = opened(browser, url, problems, permissions=["clipboard-read", "clipboard-write"])
    example = page.locator("figure", has_text=f"curl -s {url}/v1/verifications \\").first
    example.get_by_role("button").click()
    expect(example.get_by_role("button")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == example.locator("pre").text_content()
    assert page.locator("figure").count() == page.get_by_role("button", name="Copy").count() + 1


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_narrow_page_does_not_scroll_sideways(
    browser: Browser, url: str, problems: list[str], color_scheme: str
) -> None:
    page = opened(browser, url, problems, viewport=NARROW, color_scheme=color_scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    expect(page.locator("nav a").first).to_be_hidden()
    page.get_by_text("Contents", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    page.locator("nav a", has_text="/opt-outs/lookup").click()
    expect(page.locator("[id='opt_outs.look_up']")).to_be_in_viewport()


def test_the_contents_stay_beside_the_text_on_a_wide_screen(browser: Browser, url: str, problems: list[str]) -> None:
    page = opened(browser, url, problems, viewport={"width": 1280, "height": 900})
    page.evaluate("document.getElementById('shapes').scrollIntoView()")
    expect(page.locator("nav summary")).to_be_in_viewport()
