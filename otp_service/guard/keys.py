"""Which rows of counters a request touches."""

from enum import StrEnum
from typing import NamedTuple

from otp_service.guard.requests import Request

BLOCK_DIGITS = 4
"""The last digits of a number, in which the numbers of a block differ. No decision and no export shows them."""
RANGE_DIGITS = 6
"""The last digits, in which the numbers of a range differ."""


class Kind(StrEnum):
    """What a row counts the messages of."""

    PERSON = "person"
    """A client's user: number and subject."""
    ADDRESS = "address"
    """An IP address of users."""
    BLOCK = "block"
    """The 10,000 numbers that differ in their last four digits."""
    RANGE = "range"
    """The million numbers that differ in their last six digits."""
    CLIENT_COUNTRY = "client_country"
    """A client in a country."""
    NEW_BLOCKS = "new_blocks"
    """A client in a country, in blocks without an approval on an earlier day."""
    NEW_PLACES = "new_places"
    """A client in a country, if on earlier days it has no approval there, or nobody has one in the range."""
    CLIENT = "client"
    """A client in all countries."""
    COUNTRY = "country"
    """All clients in a country."""
    ALL = "all"
    """All messages."""


class Key(NamedTuple):
    """Names a row. Only the fields of its kind are set; `digits` is a prefix of the number or the whole number."""

    kind: Kind
    client: str = ""
    country: str = ""
    digits: str = ""
    address: str = ""
    subject: str = ""

    def __repr__(self) -> str:
        """Return it without what tells who the person is."""
        return f"Key({self.kind}, client={self.client!r}, country={self.country!r})"


def keys_of(request: Request) -> tuple[Key, ...]:
    """Return the keys of all rows that a request reads and changes: nine, or ten with an address, in fixed order."""
    client, country, number = request.client, request.country, request.number
    keys = (
        Key(Kind.PERSON, client=client, digits=number, subject=request.subject),
        # The country keeps short numbers of two countries apart.
        Key(Kind.BLOCK, country=country, digits=number[:-BLOCK_DIGITS]),
        Key(Kind.RANGE, country=country, digits=number[:-RANGE_DIGITS]),
        Key(Kind.CLIENT_COUNTRY, client=client, country=country),
        Key(Kind.NEW_BLOCKS, client=client, country=country),
        Key(Kind.NEW_PLACES, client=client),
        Key(Kind.CLIENT, client=client),
        Key(Kind.COUNTRY, country=country),
        Key(Kind.ALL),
    )
    return keys if request.address is None else (*keys, Key(Kind.ADDRESS, address=request.address))
