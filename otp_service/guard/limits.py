"""Every limit of the guard, once, with its reason."""

from otp_service.guard.keys import Kind

DEBT = {
    Kind.PERSON: 3.0,
    Kind.ADDRESS: 8.0,
    Kind.BLOCK: 5.0,
    Kind.RANGE: 12.0,
    Kind.CLIENT_COUNTRY: 20.0,
    Kind.NEW_BLOCKS: 15.0,
    Kind.NEW_PLACES: 16.0,
    Kind.COUNTRY: 20.0,
}
"""Unpaid messages that a row may have, whatever is usual."""
DEBT_OF_USUAL = 0.4
"""Unpaid messages that a row may have for each message of its usual busiest hour."""
PRICE_OF_RESEND = 0.5
"""What a message adds to the debt if an earlier one to the same person is not answered: people ask again."""
EXPECTED = 0.75
"""The part of the usual conversion that pays a message back."""
LEAK = 36 * 3600.0
"""Seconds in which a full debt leaks away."""
FADE = 0.93
"""What is left of an earlier day after one more day."""
"""The conversion that is assumed of a client without history, and how many messages that assumption weighs."""
ASSUMED_CONVERSION = 0.6
ASSUMED_WEIGHT = 10.0
LOWEST_CONVERSION = 0.25
LOWEST_SHARE = 0.6
HIGHEST_CONVERSION = 0.92
KNOWN_DEBT = 5.0
"""Unpaid messages to known people from which on messages are assumed not to arrive."""
VOLUME_OF_USUAL = 2.5
HOUR_ALLOWANCE = 120.0
DAY_ALLOWANCE = 250.0
UNPROVED_ALLOWANCE = 1e9
VOLUME_AFTER_DAYS = 7.0
KNOWN_PAYS = 1.6
"""What the approval of a known person pays back: they convert at 0.9, so messages that arrive leave no debt."""
FORGOTTEN = 0.05
"""Messages of earlier days, faded, that tell nothing any more."""
KNOWN_FOR = 90 * 86400.0
"""Seconds for which a person stays known."""
SPARED = 2.0
"""Usual days of a block or range that an attack elsewhere leaves alone."""
EXPLAINED = 0.4
"""Approvals that explain one message of a usual day."""
PAUSE = 600.0
"""Seconds of leak that a blocked request undoes in its client's rows."""
KNOWN_LEAK = 6 * 3600.0
