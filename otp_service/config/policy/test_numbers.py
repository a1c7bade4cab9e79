"""The table `[test_numbers]` of the policy: numbers with a fixed PIN, to which nothing is sent."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from otp_service import phone
from otp_service.config.policy.messaging import Table

LONGEST = timedelta(days=180)

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_PIN = re.compile(r"[0-9]{6,10}")


def _checked_number(number: str) -> str:
    if not _E164.fullmatch(number):
        raise ValueError("a test number must be written in E.164: +, the country calling code and the number")
    if phone.spellings(number)[0] != number:
        raise ValueError(
            "a test number must be in its usual form: no trunk 0, the present numbering plan, Argentina with the 9"
        )
    return number


def _checked_pin(pin: object) -> object:
    if not isinstance(pin, str) or not _PIN.fullmatch(pin):
        raise ValueError('must be text of 6 to 10 digits, such as "424242"')
    return pin


def _checked_until(until: object) -> object:
    if type(until) is not date:
        raise ValueError("must be a date without quotes, such as 2027-01-31")
    last = datetime.now(UTC).date() + LONGEST
    if until > last:
        raise ValueError(f"must be at most {LONGEST.days} days ahead: {last} or earlier")
    return until


class TestNumber(Table):
    """A test number. `until`: the last day, in UTC, on which it is one."""

    pin: Annotated[str, BeforeValidator(_checked_pin)] = Field(repr=False)
    until: Annotated[date, BeforeValidator(_checked_until)]

    def is_active(self, now: float) -> bool:
        """Return whether the number is a test number at a time, in seconds since the epoch."""
        return now < self.ends_at

    @property
    def ends_at(self) -> float:
        """Return the midnight after `until`, in seconds since the epoch."""
        return datetime.combine(self.until + timedelta(days=1), time.min, UTC).timestamp()


def active(test_numbers: Mapping[str, TestNumber], now: float) -> list[str]:
    """Return each number that is a test number now, masked, with its last day."""
    return [f"{phone.mask(e164)} until {each.until}" for e164, each in test_numbers.items() if each.is_active(now)]


TestNumbers = dict[Annotated[str, AfterValidator(_checked_number)], TestNumber]
