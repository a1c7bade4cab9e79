"""The `parameters` of the methods that list: `from=1,2&order=desc`, names in either case, `null` for none."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from otp_service.simulator.wire import BadParameterError

_ATTRIBUTES = {"carrier": "carrier", "to": "to", "from": "sender", "keyword": "keyword"}
MOS = ("carrier", "to", "from", "keyword")
MESSAGES = ("carrier", "to", "from")

T = TypeVar("T")


@dataclass(frozen=True)
class Filters:
    """The filters of a list. `tests`: by attribute of the listed messages."""

    tests: dict[str, Callable[[str], object]]
    newest_first: bool

    def select(self, kept: Iterable[T]) -> list[T]:
        """Return what passes every test, in the order of the filters. `kept`: oldest first."""
        found = list(kept)
        for attribute, passes in self.tests.items():
            found = [each for each in found if passes(getattr(each, attribute))]
        if self.newest_first:
            found.reverse()
        return found


def parse(text: str, names: Iterable[str]) -> Filters:
    """Return the filters of a call; newest first is the default. Raises BadParameterError."""
    wanted = _wanted(text)
    order = ",".join(wanted.pop("order", ["desc"])).lower()
    if order not in ("asc", "desc") or not set(wanted) <= set(names):
        raise BadParameterError
    return Filters({_ATTRIBUTES[name]: _test(name, values) for name, values in wanted.items()}, order == "desc")


def _wanted(text: str) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for pair in [] if text == "null" else text.split("&"):
        name, equals, values = pair.partition("=")
        if not equals:
            raise BadParameterError
        wanted[name.lower()] = values.split(",")
    return wanted


def _test(name: str, values: list[str]) -> Callable[[str], object]:
    if name != "keyword":
        return frozenset(values).__contains__
    try:
        return re.compile("|".join(f"(?:{value})" for value in values)).fullmatch
    except re.error:
        raise BadParameterError from None
