"""Every limit of the guard, once, with its reason. docs/guard.md has what the simulation measured with them."""

from otp_service.guard.keys import Kind

DEBT = {
    # Three unanswered messages are a person with a bad connection; more belong to nobody or to somebody's bot.
    Kind.PERSON: 3.0,
    # Fewer than a handful of people fail one after the other in 10,000 numbers, unless nobody reads them.
    Kind.BLOCK: 5.0,
    # A carrier that is ill for an hour must not fill it.
    Kind.RANGE: 12.0,
    # Many people share an address behind a carrier's translation, but most of them answer.
    Kind.ADDRESS: 8.0,
    # Less than CLIENT_COUNTRY: an attack in blocks where nobody lives leaves room for people in those where they do.
    Kind.NEW_BLOCKS: 15.0,
    # The first hours in a new country pay back; an attack on many countries only adds.
    Kind.NEW_PLACES: 16.0,
    # Room for honest people beside an attack that has filled NEW_BLOCKS.
    Kind.CLIENT_COUNTRY: 28.0,
    # As for a client: an attack through many clients is stopped as if it came through one.
    Kind.COUNTRY: 28.0,
}
"""Messages that may be unpaid in a row, whatever is usual: what an attack gets before the row stops it."""

DEBT_OF_USUAL = 0.4
"""Messages more that may be unpaid for each one of the row's usual busiest hour: large rows vary more."""

PRICE_OF_RESEND = 0.5
"""What a message adds to the debt if the person has an unanswered one: honest people ask again."""

EXPECTED = 0.75
"""The part of the usual conversion that pays one message back. Honest debt falls if conversion stays above it."""

LEAK = 36 * 3600.0
"""Seconds in which a full debt leaks away. Faster, a slow attack passes; slower, a false alarm lasts for days."""

PAUSE = 600.0
"""After a blocked request, at most this many seconds of the time before it do not leak from its client's debt."""

PAUSED_SHARE = 0.7
"""The share of that time which does not leak. Some of it does: the next request may be honest."""

FADE = 0.93
"""What an earlier day still counts after one more day: half of it is left after ten days."""

ASSUMED_CONVERSION = 0.6
"""The conversion of a client without history: low, so that a new client with bad texts is not stopped."""

ASSUMED_WEIGHT = 10.0
"""Messages that the assumption weighs: a row with a hundred messages of its own goes by them."""

LOWEST_CONVERSION = 0.25
"""The lowest usual conversion. Below it, attackers would pay with few answers."""

LOWEST_SHARE = 0.6
"""The lowest usual conversion, of the client's: an attack of several days must not make its own usual."""

HIGHEST_CONVERSION = 0.92
"""The highest usual conversion: a very good month must not turn an average one into an alarm."""

EXPLAINED = 0.4
"""Approvals that explain one message of a usual day. Less than honest traffic has; attacks seldom reach it."""

VOLUME_OF_USUAL = 2.5
"""Times of its usual busiest hour, or of its usual day, that a row may have: campaigns double traffic."""

HOUR_ALLOWANCE = 120.0
"""Messages more in an hour: what a launch in a new country needs."""

DAY_ALLOWANCE = 250.0
"""Messages more in a day: what a launch in a new country needs."""

VOLUME_AFTER_DAYS = 7.0
"""Faded days of a client from which on its volume is judged: eleven days. Before, nothing is usual."""

SPARED = 3.0
"""Usual days of a block or range up to which a volume that is too high elsewhere does not stop it."""

SPARED_AT_LEAST = 1.0
"""Messages a day that are spared in a block or range with an approval on an earlier day: few are asked for there."""

KNOWN_DEBT = 5.0
"""Unpaid messages to known people of a country, or of all, above which messages are assumed not to arrive."""

LOST_ALLOWANCE = 20.0
"""Messages of an hour up to which messages are assumed not to arrive: people ask again and again."""

LOST_OF_USUAL = 5.0
"""Times the usual busiest hour that may come on top of `LOST_ALLOWANCE`."""

KNOWN_PAYS = 1.6
"""What the approval of a known person pays back: known people convert at 0.9, so nothing is left on good days."""

KNOWN_LEAK = 6 * 3600.0
"""Seconds in which the debt of known people leaks away: outages show in minutes, attackers seldom hit known people."""

FORGOTTEN = 0.05
"""Messages of earlier days, faded, that tell nothing any more."""

KNOWN_FOR = 30 * 86400.0
"""Seconds for which the row of a known person is kept after its last change."""
