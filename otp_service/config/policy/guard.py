"""The policy table `[guard]`: the guard against SMS pumping, prices, ceilings and the takeovers meter."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, field_validator

from otp_service import phone
from otp_service.config.policy.messaging import Table
from otp_service.guard.rules import RULES

Mode = Literal["off", "record", "enforce"]

MICRO = 1_000_000
"""Money is counted in millionths of the operator's currency, so that sums are exact."""
_PERIODS = {"hour": 3600, "day": 86400}
_CEILING = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) */ *(hour|day)")
_PREFIX = re.compile(r"\+?([1-9][0-9]{0,14})")
_DEFAULT_PRICE = 0.05


@dataclass(frozen=True, slots=True)
class Ceiling:
    """At most `most` millionths in each hour or day of UTC; `period`: its seconds."""

    most: int
    period: int


def _ceilings(value: object) -> object:
    if value == "" or (type(value) is int and value == 0):
        return ()
    if isinstance(value, tuple):
        return value
    matches = [_CEILING.fullmatch(part.strip()) for part in str(value).split(";")]
    if not all(matches):
        raise ValueError('must be like "200/day" or "20/hour; 200/day", or "" for none')
    found = tuple(Ceiling(_micros(float(match[1])), _PERIODS[match[2]]) for match in matches if match)
    if len({ceiling.period for ceiling in found}) < len(found):
        raise ValueError("must name at most one ceiling per hour and one per day")
    return found


def _micros(amount: float) -> int:
    return round(amount * MICRO)


Ceilings = Annotated[tuple[Ceiling, ...], BeforeValidator(_ceilings)]
Price = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class CeilingRules(Table):
    """What messages may cost: in total, per client, per country. An empty tuple is none."""

    total: Ceilings = ()
    client: Ceilings = ()
    country: Ceilings = ()


class TakeoverRules(Table):
    """The meter of takeovers.

    `alarm`: expected takeovers an hour; `longer_pins`: above it, new verifications get two digits more.
    """

    alarm: float = Field(default=0.01, gt=0, le=1000, allow_inf_nan=False)
    longer_pins: StrictBool = False


def _checked_prefix(key: str) -> str:
    match = _PREFIX.fullmatch(key)
    if key != "default" and match is None:
        raise ValueError('a prefix must be "default", or 1 to 15 digits with the country calling code')
    return match[1] if match else key


class GuardRules(Table):
    """The rules of the guard. `strictness`: limits are divided by it; `answer`: to a start that is blocked."""

    mode: Mode = "record"
    strictness: float = Field(default=1.0, ge=0.5, le=2, allow_inf_nan=False)
    answer: Literal["refuse", "decoy"] = "refuse"
    rules: dict[str, Mode] = Field(default={})
    prices: dict[Annotated[str, AfterValidator(_checked_prefix)], Price] = Field(default={"default": _DEFAULT_PRICE})
    ceilings: CeilingRules = CeilingRules()
    takeovers: TakeoverRules = TakeoverRules()

    @field_validator("rules")
    @classmethod
    def _are_known(cls, rules: dict[str, Mode]) -> dict[str, Mode]:
        if not set(rules) <= set(RULES):
            raise ValueError(f"must name rules of the guard: {', '.join(RULES)}")
        return rules

    def mode_of(self, rule: str) -> Mode:
        """Return the mode of a rule: its own, else that of the guard."""
        return "off" if self.mode == "off" else self.rules.get(rule, self.mode)

    @property
    def rules_off(self) -> frozenset[str]:
        """Return the rules that are turned off."""
        return frozenset(rule for rule in RULES if self.mode_of(rule) == "off")

    def price_of(self, e164: str) -> float:
        """Return the price of a message to a number: that of the longest prefix, else the default."""
        return self.prices.get(phone.longest_prefix(e164, self.prices) or "default", _DEFAULT_PRICE)

    def micros_of(self, e164: str) -> int:
        """Return the price of a message to a number in millionths."""
        return _micros(self.price_of(e164))
