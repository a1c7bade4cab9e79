"""Times in the JSON that commands print, and times and periods that people type."""

import re
from datetime import UTC, datetime
from typing import Any

import click

from otp_service.clock import rfc3339

_PERIOD = re.compile(r"([0-9]{1,6}) *([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def in_rfc3339(value: Any) -> Any:
    """Return JSON values with their times, the fields `at` and `..._at`, in RFC 3339."""
    if isinstance(value, list):
        return [in_rfc3339(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: rfc3339(each) if _is_time(name) and each is not None else in_rfc3339(each) for name, each in value.items()
    }


def _is_time(name: str) -> bool:
    return name == "at" or name.endswith("_at")


class Period(click.ParamType[float]):
    """A period that a person types, `30m`, `24h` or `7d`, in seconds."""

    name = "period"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return its seconds."""
        match = _PERIOD.fullmatch(value.strip())
        if match is None:
            self.fail("A period is a number and s, m, h or d, for example 24h.", param, ctx)
        return float(int(match[1]) * _SECONDS[match[2]])


class Moment(click.ParamType[float]):
    """A time that a person types, in UTC if it has no offset; a date means the end of that day."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it in seconds since the epoch."""
        text = value.strip()
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail("A time is like 2026-12-31 or 2026-12-31T18:00:00Z.", param, ctx)
        if _is_date(text):
            moment = moment.replace(hour=23, minute=59, second=59)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_date(text: str) -> bool:
    return "T" not in text and " " not in text
