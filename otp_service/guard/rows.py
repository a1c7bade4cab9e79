"""One row of counters."""

from dataclasses import dataclass, fields
from operator import attrgetter


@dataclass(slots=True)
class Row:
    """The counters of a key; `Row()` is one that was never touched. Days and hours are UTC.

    Nothing outside this package changes a row: the functions of `counting` return changed copies.
    The fields that begin with `usual_` and `days` are sums over earlier days that fade each day.
    """

    touched: float = 0.0
    """When the row last changed, in seconds since the epoch."""
    proved: float = 0.0
    """When the first approval was counted, in seconds since the epoch; 0 if none was."""
    debt: float = 0.0
    """Messages that approvals have not paid back yet, at `touched`; it leaks away."""
    known_debt: float = 0.0
    """The same of messages to known people: high only if messages do not arrive."""
    hour: float = 0.0
    """The hour of `asked`, counted from the epoch."""
    asked: float = 0.0
    """Messages asked for in `hour`."""
    asked_before: float = 0.0
    """Messages asked for in the hour before `hour`."""
    day: float = 0.0
    """The day of the next three fields, counted from the epoch."""
    sent: float = 0.0
    """Messages sent on `day`."""
    approved: float = 0.0
    """Approvals on `day`."""
    busiest: float = 0.0
    """Most messages sent in an hour of `day`."""
    days: float = 0.0
    """Earlier days."""
    usual_sent: float = 0.0
    """Messages sent on earlier days."""
    usual_approved: float = 0.0
    """Approvals on earlier days."""
    usual_busiest: float = 0.0
    """Sum of `busiest` of earlier days, as far as approvals explain the day's messages."""


def copied(row: Row) -> Row:
    """Return a copy of the row; a fifth of the time of `dataclasses.replace`, and a request copies up to ten."""
    return Row(*_values(row))


_values = attrgetter(*(field.name for field in fields(Row)))
