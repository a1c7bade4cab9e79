"""A real Chromium, driven by playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

REQUIRED = "OTP_TEST_CHROMIUM_REQUIRED"
"""With this variable a missing Chromium fails the tests, as in CI."""


def find_chromium() -> str:
    """Returns the path of Chromium; without one, the test is skipped or fails."""
    for name in ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    reason = "Chromium is not installed: apt install chromium"
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yields a browser."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()
