"""The policy: the TOML file of `OTP_CONFIG_FILE` over the shipped defaults."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from otp_service import phone, texts
from otp_service.config.policy import shipped_texts
from otp_service.config.policy.factors import FactorRules, checked_brand
from otp_service.config.policy.guard import GuardRules
from otp_service.config.policy.messaging import (
    Campaign,
    GatewayUse,
    InboundPolicy,
    Locale,
    Notifications,
    Receipts,
    Table,
)
from otp_service.config.policy.rates import Failures, Rate, parse_rates
from otp_service.config.policy.test_numbers import TestNumbers
from otp_service.config.sentences import sentences
from otp_service.errors import SettingsError
from otp_service.phone import check_carrier

Route = Literal["pin", "sms", "mt"]

_PURPOSE_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PREFIX = re.compile(r"[1-9][0-9]{0,14}")
_LONGEST_TEXT = 320
LONGEST_LIFETIME = 600
"""Seconds of a verification."""
_NOT_INBOUND = frozenset({"login", "password_reset"})
"""By default: an attacker could talk the user into texting a phrase."""


def _checked_text(template: str) -> str:
    problem = texts.problem_with(texts.unix_lines(template))
    if problem is not None:
        raise ValueError(problem)
    return texts.unix_lines(template)


def _checked_purpose_name(name: str) -> str:
    if not _PURPOSE_NAME.fullmatch(name):
        raise ValueError("the name of a purpose must be a lower-case letter, then up to 31 of a-z, 0-9 and _")
    return name


PurposeName = Annotated[str, AfterValidator(_checked_purpose_name)]
Text = Annotated[str, AfterValidator(_checked_text)]


class Purpose(Table):
    """The rules of a purpose. Times are in seconds; `text`: templates by `texts.locale_key`.

    `inbound`: allows verification by a text from the user; `send_to_opted_out`: sends PINs to opted-out numbers.
    """

    name: str
    brand: Annotated[str, AfterValidator(checked_brand)] = "Example"
    default_locale: Locale = "en"
    pin_length: StrictInt = Field(default=6, ge=6, le=10)
    lifetime: StrictInt = Field(default=600, ge=1, le=LONGEST_LIFETIME)
    attempts: StrictInt = Field(default=5, ge=1, le=100)
    sends: StrictInt = Field(default=3, ge=1, le=20)
    resend_after: tuple[Annotated[StrictInt, Field(ge=0, le=600)], ...] = Field(default=(30, 60), max_length=19)
    live_pins: StrictInt = Field(default=1, ge=1, le=3)
    proof_lifetime: StrictInt = Field(default=300, ge=30, le=900)
    routes: tuple[Route, ...] = Field(default=("pin", "sms", "mt"), min_length=1)
    inbound: StrictBool = True
    send_to_opted_out: StrictBool = False
    text: dict[Locale, Text] = Field(default=shipped_texts.GENERIC, validate_default=True)

    @field_validator("resend_after")
    @classmethod
    def _says_when(cls, waits: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if not waits and info.data.get("sends", 1) > 1:
            raise ValueError("must have at least one wait if sends is more than 1; 0 means at once")
        return waits

    @field_validator("routes")
    @classmethod
    def _each_once(cls, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        if len(set(routes)) != len(routes):
            raise ValueError("must list each route once")
        return routes

    @field_validator("text", mode="before")
    @classmethod
    def _one_per_locale(cls, text: object) -> object:
        if isinstance(text, dict) and len({texts.locale_key(str(locale)) for locale in text}) < len(text):
            raise ValueError("must have each locale once; case is ignored, and _ counts as -")
        return text

    @field_validator("text")
    @classmethod
    def _fits(cls, text: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        # A field validator, not a model validator: so it is reported along with problems in other keys.
        facts = info.data
        if "default_locale" in facts and texts.find(text, facts["default_locale"]) is None:
            raise ValueError("must have a text for default_locale")
        pin, brand = "0" * facts.get("pin_length", 6), facts.get("brand", "")
        for locale, template in text.items():
            filled = texts.render(template, pin=pin, minutes=10, brand=brand)
            if len(filled) > _LONGEST_TEXT:
                raise ValueError(f"{locale} must have at most {_LONGEST_TEXT} characters when filled in")
            if texts.is_web_otp(filled):
                raise ValueError(f"{locale} must not end with a line like '@host #code' when filled in (WebOTP)")
        return text

    def wait_after_send(self, number: int) -> int:
        """Return the seconds between send `number` (1: the first) and the next; the last wait repeats."""
        if not self.resend_after:
            return 0
        return self.resend_after[min(number, len(self.resend_after)) - 1]


def _rates(value: object) -> object:
    if isinstance(value, str):
        return parse_rates(value)
    if isinstance(value, tuple):
        return value
    if type(value) is int and value == 0:
        return ()
    raise ValueError('must be text such as "5/hour"; "" or 0 turns it off')


def _pause(value: object) -> object:
    return 0 if value == "" else value


Rates = Annotated[tuple[Rate, ...], BeforeValidator(_rates)]


class Limits(Table):
    """Rate limits, and the waits after wrong checks. An empty tuple or 0 is off."""

    sends_per_number: Rates = parse_rates("5/hour; 10/day")
    pause_per_number: Annotated[StrictInt, BeforeValidator(_pause)] = Field(default=30, ge=0, le=86400)
    sends_per_user_ip: Rates = parse_rates("25/5 minutes")
    sends_per_client: Rates = ()
    notifications_per_number: Rates = ()
    notifications_per_client: Rates = ()
    inbound_per_number: Rates = parse_rates("10/10 minutes")
    inbound_per_client: Rates = parse_rates("3000/10 minutes")
    failures_per_number: Failures = Failures()
    failures_per_subject: Failures = Failures()

    def looser(self, times: int) -> Self:
        """Return limits that allow so many times as much."""
        changes: dict[str, object] = {
            name: tuple(Rate(rate.burst * times, rate.period) for rate in rates)
            for name, rates in self
            if isinstance(rates, tuple)
        }
        changes |= {
            "pause_per_number": self.pause_per_number // times,
            "failures_per_number": self.failures_per_number.looser(times),
            "failures_per_subject": self.failures_per_subject.looser(times),
        }
        return self.model_copy(update=changes)


class Retention(Table):
    """Seconds that data is kept: hashes and numbers after the end, counters and audit after the last use."""

    hash: StrictInt = Field(default=60, ge=0, le=86400)
    number: StrictInt = Field(default=86400, ge=0, le=10 * 366 * 86400)
    counters: StrictInt = Field(default=2592000, ge=0, le=10 * 366 * 86400)
    audit: StrictInt = Field(default=31536000, ge=0, le=10 * 366 * 86400)


def _checked_prefix(prefix: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("a prefix must be 1 to 15 digits, with the country calling code and without +")
    return prefix


Carriers = dict[Annotated[str, AfterValidator(_checked_prefix)], Annotated[str, AfterValidator(check_carrier)]]


class Policy(Table):
    """The rules of the policy file over the shipped defaults."""

    purposes: dict[PurposeName, Purpose] = Field(default={}, validate_default=True)
    limits: Limits = Limits()
    carriers: Carriers = Field(default={})
    retention: Retention = Retention()
    notifications: Notifications = Notifications()
    inbound: InboundPolicy = InboundPolicy()
    receipts: Receipts = Receipts()
    campaign: Campaign = Campaign()
    gateway: GatewayUse = GatewayUse()
    factors: FactorRules = FactorRules()
    guard: GuardRules = GuardRules()
    test_numbers: TestNumbers = Field(default={}, repr=False)

    @field_validator("purposes", mode="before")
    @classmethod
    def _over_shipped(cls, purposes: object) -> object:
        if not isinstance(purposes, dict):
            return purposes
        names = [*shipped_texts.SHIPPED, *(name for name in purposes if name not in shipped_texts.SHIPPED)]
        return {name: _merged(name, purposes.get(name, {})) for name in names}

    @field_validator("test_numbers")
    @classmethod
    def _pins_fit(cls, test_numbers: TestNumbers, info: ValidationInfo) -> TestNumbers:
        lengths = {purpose.pin_length for purpose in info.data.get("purposes", {}).values()}
        misfits = [phone.mask(number) for number, entry in test_numbers.items() if len(entry.pin) not in lengths]
        if lengths and misfits:
            allowed = " or ".join(str(length) for length in sorted(lengths))
            raise ValueError(f"the pin of {', '.join(misfits)} must have {allowed} digits: the pin_length of a purpose")
        return test_numbers

    def looser(self, times: int) -> Self:
        """Return the same rules with limits that allow so many times as much."""
        return self.model_copy(update={"limits": self.limits.looser(times)})

    def carrier_for(self, e164: str) -> str | None:
        """Return the carrier of the longest matching prefix in `[carriers]`, or None."""
        prefix = phone.longest_prefix(e164, self.carriers)
        return self.carriers[prefix] if prefix is not None else None


def _merged(name: str, table: object) -> object:
    if not isinstance(table, Mapping):
        return table
    shipped = shipped_texts.SHIPPED.get(name, shipped_texts.GENERIC)
    text = table.get("text", {})
    if isinstance(text, Mapping):
        written = {texts.locale_key(locale) for locale in text}
        text = {**{locale: words for locale, words in shipped.items() if locale not in written}, **text}
    return {"inbound": name not in _NOT_INBOUND, **table, "name": name, "text": text}


def load_policy(path: Path | None) -> Policy:
    """Return the policy of the file at `path`, or the default. Raises SettingsError with every problem at once."""
    raw = {} if path is None else _read(path)
    problems = [f"{name}: unknown key" for name in _named_purposes(raw)]
    try:
        policy = Policy.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(problems + sentences(error)) from None
    if problems:
        raise SettingsError(problems)
    return policy


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError([f"cannot read the file: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SettingsError(["must be UTF-8 text"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"must be TOML: {error}"]) from None


def _named_purposes(raw: dict[str, Any]) -> list[str]:
    # The model has a name, but the table in the file must not: its key is the name.
    purposes = raw.get("purposes")
    tables = purposes.items() if isinstance(purposes, dict) else ()
    return [f"purposes.{name}.name" for name, table in tables if isinstance(table, dict) and "name" in table]
