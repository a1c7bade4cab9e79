"""What is usual for a row: read from its earlier days, as far as approvals explain them."""

import math
from collections.abc import Mapping

from otp_service.guard import limits
from otp_service.guard.keys import Kind
from otp_service.guard.rows import Row, copied

_DAY = 86400.0
_HOUR = 3600.0


def day_of(at: float) -> float:
    """Return the day of a time, counted from the epoch."""
    return at // _DAY


def hour_of(at: float) -> float:
    """Return the hour of a time, counted from the epoch."""
    return at // _HOUR


def as_of(row: Row, at: float) -> Row:
    """Return the row with its past days added to what is usual; itself if its day is not over."""
    if not row.touched or day_of(at) <= row.day:
        return row
    rolled = copied(row)
    past = day_of(at) - row.day
    fade = limits.FADE**past
    rolled.day = day_of(at)
    rolled.sent = rolled.approved = rolled.busiest = 0.0
    rolled.days = row.days * fade + limits.FADE * (1 - fade) / (1 - limits.FADE)
    rolled.usual_sent = (row.usual_sent + row.sent) * fade
    rolled.usual_approved = (row.usual_approved + row.approved) * fade
    rolled.usual_busiest = (row.usual_busiest + row.busiest * _explained(row.sent, row.approved)) * fade
    return rolled


def hour_asked(row: Row, at: float) -> float:
    """Return the messages asked for in the last 60 minutes; those of the hour before are taken as evenly spread."""
    hours = at / _HOUR - row.hour
    if hours < 1:
        return row.asked + row.asked_before * (1 - max(0.0, hours))
    return row.asked * max(0.0, 2 - hours)


def busiest_hour(row: Row) -> float:
    """Return the messages of the row's usual busiest hour."""
    return row.usual_busiest / row.days if row.days else 0.0


def messages_a_day(row: Row) -> float:
    """Return the messages of a usual day."""
    return row.usual_sent * _explained(row.usual_sent, row.usual_approved) / row.days if row.days else 0.0


def conversion(row: Row, prior: float) -> float:
    """Return the usual conversion of a row, cautiously: the lower tenth of its Beta distribution, approximated."""
    mean = _mean(row, prior)
    deviation = math.sqrt(mean * (1 - mean) / (row.usual_sent + limits.ASSUMED_WEIGHT + 1))
    lowest = max(limits.LOWEST_CONVERSION, limits.LOWEST_SHARE * prior)
    return min(limits.HIGHEST_CONVERSION, max(lowest, mean - 1.28 * deviation))


def prior_conversion(rows: Mapping[Kind, Row]) -> float:
    """Return the conversion to expect if a row has no history: of the client in the country, or of the client."""
    client = _mean(rows.get(Kind.CLIENT, Row()), limits.ASSUMED_CONVERSION)
    return _mean(rows.get(Kind.CLIENT_COUNTRY, Row()), client)


def _mean(row: Row, prior: float) -> float:
    weight = limits.ASSUMED_WEIGHT
    return (row.usual_approved + prior * weight) / (max(row.usual_sent, row.usual_approved) + weight)


def _explained(sent: float, approved: float) -> float:
    """Return the part of the messages that approvals explain, so that an attack does not become usual."""
    return min(1.0, approved / (limits.EXPLAINED * sent)) if sent else 0.0
