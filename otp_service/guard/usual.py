"""What is usual for a row: read from its earlier days, as far as approvals explain them."""

import math
from collections.abc import Mapping
from dataclasses import replace

from otp_service.guard import limits
from otp_service.guard.keys import Key, Kind
from otp_service.guard.rows import Row

_DAY = 86400.0
_HOUR = 3600.0


def rolled(row: Row, at: float) -> Row:
    """Return the row as it is at `at`: past hours and days are added to what is usual. The debt is not drained."""
    day, hour = max(float(at // _DAY), row.day), max(float(at // _HOUR), row.hour)
    if hour != row.hour:
        row = replace(row, hour=hour, asked=0.0, asked_before=row.asked if hour == row.hour + 1 else 0.0)
    if not row.touched:
        return replace(row, day=day)
    return row if day == row.day else _with_days_past(row, day)


def _with_days_past(row: Row, day: float) -> Row:
    past = day - row.day
    fade = limits.FADE**past
    explained = min(1.0, row.approved / (limits.LOWEST_CONVERSION * row.sent)) if row.sent else 0.0
    return replace(
        row,
        day=day,
        sent=0.0,
        approved=0.0,
        busiest=0.0,
        days=row.days * fade + limits.FADE * (1 - fade) / (1 - limits.FADE),
        usual_sent=(row.usual_sent + row.sent) * fade,
        usual_approved=(row.usual_approved + row.approved) * fade,
        usual_busiest=(row.usual_busiest + row.busiest * explained) * fade,
    )


def day_of(at: float) -> float:
    """Return the day of a time, counted from the epoch."""
    return float(at // _DAY)


def hour_asked(row: Row, at: float) -> float:
    """Return the messages asked for in the last 60 minutes; those of the hour before are taken as evenly spread."""
    return row.asked + row.asked_before * (1 - min(1.0, max(0.0, at / _HOUR - row.hour)))


def busiest_hour(row: Row) -> float:
    """Return the messages of the row's usual busiest hour."""
    return row.usual_busiest / row.days if row.days else 0.0


def messages_a_day(row: Row) -> float:
    """Return the messages of a usual day, as far as approvals explain them."""
    explained = min(row.usual_sent, row.usual_approved / limits.LOWEST_CONVERSION)
    return explained / row.days if row.days else 0.0


def conversions(rows: Mapping[Key, Row]) -> dict[Key, float]:
    """Return the usual conversion of each row: cautious, and that of the client where the row has little history."""
    by_kind = {key.kind: row for key, row in rows.items()}
    client = _mean(by_kind.get(Kind.CLIENT, Row()), limits.ASSUMED_CONVERSION)
    country = _mean(by_kind.get(Kind.CLIENT_COUNTRY, Row()), client)
    return {key: _lower(row, country) for key, row in rows.items()}


def _mean(row: Row, prior: float) -> float:
    weight = limits.ASSUMED_WEIGHT
    return (row.usual_approved + prior * weight) / (max(row.usual_sent, row.usual_approved) + weight)


def _lower(row: Row, prior: float) -> float:
    """Return the lower tenth of the Beta distribution, by its normal approximation."""
    mean = _mean(row, prior)
    deviation = math.sqrt(mean * (1 - mean) / (row.usual_sent + limits.ASSUMED_WEIGHT + 1))
    return min(limits.HIGHEST_CONVERSION, max(limits.LOWEST_CONVERSION, mean - 1.28 * deviation))
