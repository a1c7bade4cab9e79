"""How rows change: after a send, after a blocked request, after an approval."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from otp_service.guard import debts, limits, people, usual
from otp_service.guard.keys import Key, Kind, keys_of
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row, copied

_EVERY_KIND = frozenset(Kind)
_OF_KNOWN = frozenset({Kind.PERSON, Kind.COUNTRY, Kind.ALL})
"""What a message to a known person changes: the person's row, and where it shows whether messages arrive."""

_OF_CLIENT = frozenset({Kind.CLIENT_COUNTRY, Kind.NEW_BLOCKS, Kind.NEW_PLACES})


def sent(request: Request, rows: Mapping[Key, Row]) -> dict[Key, Row]:
    """Return the rows that a message changes when it is sent."""
    keys, at = keys_of(request), request.at
    found = by_kind(keys, rows, at)
    is_known = people.is_known(found[Kind.PERSON], at)
    price = price_of(found, at)
    changed = _settled(keys, found, _OF_KNOWN if is_known else counting_kinds(found), at)
    for key, row in changed.items():
        if is_known and key.kind != Kind.PERSON:
            row.known_debt = min(row.known_debt + 1, 2 * limits.KNOWN_DEBT)
        else:
            row.debt += price
            row.sent += 1
            row.asked += 1
            row.busiest = max(row.busiest, row.asked)
    return changed


def given_back(request: Request, rows: Mapping[Key, Row]) -> dict[Key, Row]:
    """Return the rows without a message that `sent` counted and that was refused for sure."""
    keys, at = keys_of(request), request.at
    found = by_kind(keys, rows, at)
    person = found[Kind.PERSON]
    is_known = people.is_known(person, at)
    # What `sent` added is stored nowhere: the only unanswered message of a person added 1.
    price = 1.0 if person.debt <= 1 else limits.PRICE_OF_RESEND
    changed = _settled(keys, found, _OF_KNOWN if is_known else counting_kinds(found), at)
    for key, row in changed.items():
        if is_known and key.kind != Kind.PERSON:
            row.known_debt = max(0.0, row.known_debt - 1)
        else:
            row.debt = max(0.0, row.debt - price)
            row.sent = max(0.0, row.sent - 1)
            row.asked = max(0.0, row.asked - 1)
    return changed


def blocked(request: Request, rows: Mapping[Key, Row]) -> dict[Key, Row]:
    """Return the rows that a blocked request changes: only its client's, since it must not use up what others share."""
    keys = keys_of(request)
    found = by_kind(keys, rows, request.at)
    changed = _settled(keys, found, _OF_CLIENT & counting_kinds(found), request.at)
    for key, row in changed.items():
        before = found[key.kind]
        # An attack that goes on must not get all that leaks away. Some of it: the next one may be honest.
        paused = min(limits.PAUSE, limits.PAUSED_SHARE * max(0.0, request.at - before.touched))
        row.debt = debts.debt_at(key.kind, before, request.at - paused)
        row.asked += key.kind == Kind.CLIENT_COUNTRY
    return changed


def approved(at: float, rows: Mapping[Key, Row]) -> dict[Key, Row]:
    """Return the rows that an approval changes, of the rows of the approved request. Only the keys' kinds are used."""
    found = by_kind(rows, rows, at)
    is_known = people.is_known(found.get(Kind.PERSON, Row()), at)
    prior = usual.prior_conversion(found)
    changed = _settled(rows, found, _OF_KNOWN if is_known else counting_kinds(found), at)
    for key, row in changed.items():
        if is_known and key.kind != Kind.PERSON:
            row.known_debt = max(0.0, row.known_debt - limits.KNOWN_PAYS)
        else:
            pays = row.debt if key.kind == Kind.PERSON else 1 / (limits.EXPECTED * usual.conversion(row, prior))
            row.debt = max(0.0, row.debt - pays)
            row.approved += 1
            row.proved = row.proved or at
    return changed


def idle(row: Row, at: float) -> bool:
    """Return whether nothing in the row matters any more, so that it can be deleted."""
    if at - row.touched < (limits.KNOWN_FOR if row.proved else limits.LEAK):
        return False
    return usual.as_of(row, at).usual_sent < limits.FORGOTTEN


def by_kind(keys: Iterable[Key], rows: Mapping[Key, Row], at: float) -> dict[Kind, Row]:
    """Return the rows of the keys as of a time; an absent one was never touched."""
    return {key.kind: usual.as_of(rows.get(key) or Row(), at) for key in keys}


def counting_kinds(rows: Mapping[Kind, Row]) -> frozenset[Kind]:
    """Return the kinds of rows that count a message with these rows: those of new places only what is new."""
    old_places = _approved_earlier(rows, Kind.RANGE) and _approved_earlier(rows, Kind.CLIENT_COUNTRY)
    old_block = _approved_earlier(rows, Kind.BLOCK)
    return _EVERY_KIND - ({Kind.NEW_BLOCKS} if old_block else set()) - ({Kind.NEW_PLACES} if old_places else set())


def _approved_earlier(rows: Mapping[Kind, Row], kind: Kind) -> bool:
    return kind in rows and rows[kind].usual_approved > 0


def price_of(rows: Mapping[Kind, Row], at: float) -> float:
    """Return the debt that a message adds: none while messages do not arrive, less for a repeated one."""
    if messages_are_lost(rows, at):
        return 0.0
    return limits.PRICE_OF_RESEND if debts.debt_at(Kind.PERSON, rows[Kind.PERSON], at) else 1.0


def messages_are_lost(rows: Mapping[Kind, Row], at: float) -> bool:
    """Return whether messages to known people do not arrive, in the country or anywhere.

    False if the client asks for several times its usual: an attack on numbers of known people could cause that.
    """
    row = rows[Kind.CLIENT_COUNTRY]
    most = limits.LOST_ALLOWANCE + limits.LOST_OF_USUAL * usual.busiest_hour(row)
    if usual.hour_asked(row, at) > most:
        return False
    return any(debts.known_debt_at(rows[kind], at) > limits.KNOWN_DEBT for kind in (Kind.COUNTRY, Kind.ALL))


def _settled(keys: Iterable[Key], rows: Mapping[Kind, Row], kinds: AbstractSet[Kind], at: float) -> dict[Key, Row]:
    """Return copies of the rows of these kinds, with debts and hours as of `at`."""
    return {key: _at(key.kind, rows[key.kind], at) for key in keys if key.kind in kinds}


def _at(kind: Kind, row: Row, at: float) -> Row:
    settled = copied(row)
    settled.debt = debts.debt_at(kind, row, at)
    settled.known_debt = debts.known_debt_at(row, at)
    settled.touched = max(row.touched, at)
    settled.day = max(row.day, usual.day_of(at))
    if (hour := usual.hour_of(at)) > row.hour:
        settled.asked_before = row.asked if hour == row.hour + 1 else 0.0
        settled.asked = 0.0
        settled.hour = hour
    return settled
