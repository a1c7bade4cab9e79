"""How rows change: after a send, after a blocked request, after an approval."""

from collections.abc import Mapping
from dataclasses import replace

from otp_service.guard import debts, limits, people, usual
from otp_service.guard.keys import Key, Kind, keys_of
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row

_OF_KNOWN = frozenset({Kind.RANGE, Kind.COUNTRY, Kind.ALL})
"""Where messages to known people show whether messages arrive."""
_OF_CLIENT = frozenset({Kind.CLIENT_COUNTRY, Kind.CLIENT})


def sent(request: Request, rows: Mapping[Key, Row]) -> dict[Key, Row]:
    """Return the rows that a message changes when it is sent."""
    current = _current(request, rows)
    person = next(iter(current.values()))
    if people.is_known(person, request.at):
        return {key: _sent_to_known(key, row) for key, row in current.items() if key.kind in (Kind.PERSON, *_OF_KNOWN)}
    price = price_of(current)
    return {key: _with_message(row, price) for key, row in current.items() if counts(key.kind, current)}


def price_of(rows: Mapping[Key, Row]) -> float:
    """Return the debt that a message adds: less if an earlier one to the same person waits for its approval."""
    waits = any(row.debt > 0 for key, row in rows.items() if key.kind == Kind.PERSON)
    return limits.PRICE_OF_RESEND if waits else 1.0


def blocked(request: Request, rows: Mapping[Key, Row]) -> dict[Key, Row]:
    """Return the rows that a blocked request changes: only its client's, since it must not use up what others share."""
    current = _current(request, rows)
    return {key: replace(row, asked=row.asked + 1) for key, row in current.items() if key.kind in _OF_CLIENT}


def approved(at: float, rows: Mapping[Key, Row]) -> dict[Key, Row]:
    """Return the rows that an approval changes, of the rows of the approved request. Only the keys' kinds are used."""
    current = {key: _settled(key, row, at) for key, row in rows.items()}
    person = next((row for key, row in current.items() if key.kind == Kind.PERSON), Row())
    if people.is_known(person, at):
        return {key: _known_approved(key, row, at) for key, row in current.items() if _is_of_known(key)}
    conversion = usual.conversions(current)
    return {key: _paid(key, row, at, conversion[key]) for key, row in current.items() if counts(key.kind, current)}


def idle(row: Row, at: float) -> bool:
    """Return whether nothing in the row matters any more, so that it can be deleted."""
    row = usual.rolled(row, at)
    quiet = at - max(row.touched, row.proved) > limits.LEAK and row.sent == 0
    return quiet and row.usual_sent < limits.FORGOTTEN and not (row.proved and at - row.touched < limits.KNOWN_FOR)


def counts(kind: Kind, rows: Mapping[Key, Row]) -> bool:
    """Return whether a row of the kind counts a request with these rows: `new_...` count only what is new."""
    if kind not in _NEW_TO:
        return True
    return not any(row.usual_approved for key, row in rows.items() if key.kind == _NEW_TO[kind])


_NEW_TO = {Kind.NEW_BLOCKS: Kind.BLOCK, Kind.NEW_RANGES: Kind.RANGE}


def _is_of_known(key: Key) -> bool:
    return key.kind == Kind.PERSON or key.kind in _OF_KNOWN


def _current(request: Request, rows: Mapping[Key, Row]) -> dict[Key, Row]:
    return {key: _settled(key, rows.get(key, Row()), request.at) for key in keys_of(request)}


def _settled(key: Key, row: Row, at: float) -> Row:
    """Return the row as it is at `at`, its debts drained."""
    row = usual.rolled(row, at)
    return replace(
        row,
        touched=max(at, row.touched),
        debt=debts.drained(key, row, at),
        known_debt=debts.known_drained(row, at),
    )


def _with_message(row: Row, price: float) -> Row:
    asked = row.asked + 1
    return replace(row, debt=row.debt + price, asked=asked, sent=row.sent + 1, busiest=max(row.busiest, asked))


def _sent_to_known(key: Key, row: Row) -> Row:
    if key.kind == Kind.PERSON:
        return _with_message(row, 1.0)
    return replace(row, known_debt=row.known_debt + 1)


def _known_approved(key: Key, row: Row, at: float) -> Row:
    if key.kind == Kind.PERSON:
        return _paid(key, row, at, 1.0)
    return replace(row, known_debt=max(0.0, row.known_debt - limits.KNOWN_PAYS))


def _paid(key: Key, row: Row, at: float, conversion: float) -> Row:
    left = 0.0 if key.kind == Kind.PERSON else max(0.0, row.debt - 1 / (limits.EXPECTED * conversion))
    return replace(row, debt=left, approved=row.approved + 1, proved=row.proved or at)
