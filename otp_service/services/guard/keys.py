"""How the guard's rows are stored: their keys, the numbers in them, and pseudonyms of phone numbers.

A key that would show most of a phone number, or an address, is a keyed digest. After a change of the writing key these
rows begin anew; those of blocks, clients and countries go on.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from otp_service.guard.keys import BLOCK_DIGITS, Key, Kind, keys_of
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row
from otp_service.storage.guard.rows import StoredRow
from otp_service.vault import Vault

_SECRET = frozenset({Kind.PERSON, Kind.ADDRESS})
_FIELDS = tuple(each.name for each in fields(Row))


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request, and the keys of its rows by their stored forms."""

    request: Request = field(repr=False)
    keys: Mapping[str, Key] = field(repr=False)


def keyed(vault: Vault, request: Request) -> KeyedRequest:
    """Return a request with the keys of its rows."""
    return KeyedRequest(request, {stored_key(vault, key): key for key in keys_of(request)})


def stored_key(vault: Vault, key: Key) -> str:
    """Return the stored form of a key, which begins with its kind."""
    rest = "\0".join((key.client, key.country, key.digits, key.address, key.subject))
    if key.kind in _SECRET:
        return f"{key.kind}:{vault.counter_digest(rest)}"
    return f"{key.kind}:{':'.join(filter(None, (key.client, key.country, key.digits)))}"


def key_of_kind(text: str) -> Key:
    """Return a key with nothing but the kind that a stored key begins with."""
    return Key(Kind(text.partition(":")[0]))


def parse_row(state: str) -> Row:
    """Return the numbers of a stored row; those that this release does not know are dropped."""
    return Row(**{name: value for name, value in json.loads(state).items() if name in _FIELDS})


def state_of(row: Row) -> str:
    """Return the numbers of a row as JSON, without those that are 0."""
    values = {name: getattr(row, name) for name in _FIELDS}  # not asdict, which copies deeply: ten times as slow
    return json.dumps({name: value for name, value in values.items() if value}, separators=(",", ":"))


def stored_row(key: Key, text: str, row: Row) -> StoredRow:
    """Return a row to write under its stored key. `prefix`: of a part of the numbers, for an operator's reset."""
    digits = key.digits[:-BLOCK_DIGITS] if key.kind in _SECRET else key.digits
    return StoredRow(text, key.kind, key.client or None, digits or None, state_of(row))


def pseudonym(vault: Vault, e164: str) -> str:
    """Return a number of the same block of 10,000, the same for the same number.

    Two numbers of one hundred get pseudonyms of one hundred. The plan of the country may not have the number.
    """
    block, hundred, last = e164[:-BLOCK_DIGITS], e164[-BLOCK_DIGITS:-2], e164[-2:]
    moved = _permuted(vault, block, int(hundred))
    return f"{block}{moved:02}{_permuted(vault, block + hundred, int(last)):02}"


def _permuted(vault: Vault, of_what: str, value: int) -> int:
    """Return another value for each of 0 to 99. A shift would tell them all to whoever knows one."""
    drawn = hashlib.shake_256(vault.counter_digest(f"pseudonym {of_what}").encode()).digest(4 * 100)
    return sorted(range(100), key=lambda place: drawn[4 * place : 4 * place + 4])[value]
