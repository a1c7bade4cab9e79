"""The Python of docs/from-twilio.md runs exactly as it is printed there, and its table of errors is complete."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otp_service.api.twilio import errors
from tests.api.twilio.program import program_of
from tests.support.service import new_number, wrong
from tests.support.vendor import Vendor

PAGE = (Path(__file__).parent.parent / "docs" / "from-twilio.md").read_text("utf-8")
(PYTHON,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def names(migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    with program_of(migrated, vendor) as program:
        monkeypatch.setenv("OTP_SERVICE_CLIENT", program.key.name)
        monkeypatch.setenv("OTP_SERVICE_KEY", program.key.api_key)
        monkeypatch.setenv("OTP_SERVICE_URL", program.url)
        names: dict[str, Any] = {"program": program}
        exec(PYTHON, names)  # noqa: S102 - the test is that it runs as printed
        yield names


def test_the_program_verifies_a_number(names: dict[str, Any]) -> None:
    program, to = names["program"], new_number()
    assert names["send"](to) == "We have sent you a PIN."
    assert names["send"](to) == "Wait a moment, then try again."
    for _ in range(2):
        program.shift(60)
        assert names["send"](to) == "We have sent you a PIN."
    program.shift(60)
    assert names["send"](to).startswith("No more messages can be sent.")
    pin = program.pin(to)
    assert not names["is_right"](to, "1")
    assert not names["is_right"](to, wrong(pin))
    assert names["is_right"](to, pin)
    assert not names["is_right"](to, pin)
    assert names["send"]("+576012345678") == "We cannot send an SMS to this number."


def test_every_error_is_documented() -> None:
    documented = {
        (int(status), int(code)) for status, code in re.findall(r"^\| (\d{3}) (\d{5}) \|", PAGE, re.MULTILINE)
    }
    assert {*errors.NUMBERS.values(), errors.LANDLINE, errors.MAX_CHECKS, (404, 20404), (429, 20429)} == documented
