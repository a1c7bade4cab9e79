"""Known people: a client, number and subject that were approved together on an earlier day."""

from otp_service.guard import limits
from otp_service.guard.debts import debt_at
from otp_service.guard.keys import Kind
from otp_service.guard.rows import Row
from otp_service.guard.usual import day_of


def is_known(person: Row, at: float) -> bool:
    """Return whether the row of kind `person` is of somebody known who has few unanswered messages."""
    proved_earlier = person.proved > 0 and day_of(person.proved) < day_of(at)
    return proved_earlier and debt_at(Kind.PERSON, person, at) + 1 <= limits.DEBT[Kind.PERSON]
