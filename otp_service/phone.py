"""Phone numbers: parses those that can receive SMS, in E.164 only, and masks them for display."""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from otp_service import texts
from otp_service.errors import FieldError, Refusal

KNOWN_REGIONS: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""The ISO 3166 regions of libphonenumber (two letters, and `XK`)."""

# phonenumbers also parses other scripts' digits, `tel:` and `;ext=`, so this comes before it.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_TAKES_SMS = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_KINDS = {
    PhoneNumberType.FIXED_LINE: "a landline",
    PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.VOIP: "a VoIP number",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number",
    PhoneNumberType.PAGER: "a pager",
    PhoneNumberType.UAN: "a company-wide number",
    PhoneNumberType.VOICEMAIL: "a voicemail number",
}
_NON_GEOGRAPHIC = "001"
_WRITE_E164 = "Write the number in E.164: `+`, the country calling code and the number, digits only."


@dataclass(frozen=True, slots=True)
class _PlanChange:
    """A country put `inserted` before every number; `present_length`: of the E.164 form since then, with its `+`."""

    calling_code: str
    inserted: str
    present_length: int


_PLAN_CHANGES = (_PlanChange("229", "01", 14),)
"""Changes of numbering plans that a database may have seen: Benin on 30 November 2024."""

_WRITTEN = re.compile(r"(\+?)([0-9]{7,20})")
_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015]")
_INTERNATIONAL_PREFIXES = ("", "00", "011")
_SAME_PHONE = tuple(
    (re.compile(rf"\+{pattern}"), rf"+{other}")
    for pattern, other in (
        # Argentina: the 9 of mobile numbers.
        (r"54(?!9)([0-9]{10})", r"549\1"),
        (r"549([0-9]{10})", r"54\1"),
        # Mexico: the 1 of mobile numbers, until 2019.
        (r"52([0-9]{10})", r"521\1"),
        (r"521([0-9]{10})", r"52\1"),
        # Brazil: the ninth digit of mobile numbers, since 2012.
        (r"55([0-9]{2})([6-9][0-9]{7})", r"55\g<1>9\2"),
        (r"55([0-9]{2})9([6-9][0-9]{7})", r"55\1\2"),
    )
)
"""Two forms of one number that carriers and gateways both use: (pattern of one in E.164, the other)."""


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that can take an SMS. `e164`: canonical; `region`: two letters, e.g. `CO`."""

    e164: str = field(repr=False)
    region: str


@lru_cache(maxsize=1000)  # a start reads its number several times, and each takes 0.1 ms
def parse(text: str) -> PhoneNumber:
    """Parse a number in E.164. Raises `Refusal("invalid_number")`, whose detail does not contain the number."""
    if not _E164.fullmatch(text):
        raise _invalid(_WRITE_E164)
    try:
        number = phonenumbers.parse(text, None)
    except NumberParseException:
        raise _invalid("No country has this calling code.") from None
    if not phonenumbers.is_valid_number(number):
        raise _invalid("This is not a number of its country's numbering plan.")
    region = phonenumbers.region_code_for_number(number)
    # First, because phonenumbers calls the satellites of +870 "mobile".
    if region is None or region == _NON_GEOGRAPHIC:
        raise _invalid("This is a satellite or other non-geographic number; use a mobile number.")
    kind = phonenumbers.number_type(number)
    if kind not in _TAKES_SMS:
        detail = f"This is {_KINDS.get(kind, 'a number of unknown kind')}; use a mobile number."
        raise _invalid(detail, is_landline=kind == PhoneNumberType.FIXED_LINE)
    return PhoneNumber(phonenumbers.format_number(number, PhoneNumberFormat.E164), region)


def former_form(e164: str) -> str | None:
    """Return how the number was written before its country's last change of plan, None if nothing changed."""
    for change in _PLAN_CHANGES:
        if e164.startswith(f"+{change.calling_code}{change.inserted}") and len(e164) == change.present_length:
            return f"+{change.calling_code}{e164.removeprefix(f'+{change.calling_code}{change.inserted}')}"
    return None


def present_form(e164: str) -> str | None:
    """Return how a number of a former plan is written now, None if it is of no former plan."""
    for change in _PLAN_CHANGES:
        if e164.startswith(f"+{change.calling_code}") and len(e164) == change.present_length - len(change.inserted):
            return f"+{change.calling_code}{change.inserted}{e164.removeprefix(f'+{change.calling_code}')}"
    return None


def as_kept(text: str) -> str:
    """Return the form under which a number is kept, for operators: also of one that its plan does not know any more.

    Raises `Refusal("invalid_number")` unless it is written in E.164.
    """
    if not _E164.fullmatch(text):
        raise _invalid(_WRITE_E164)
    return present_form(text) or text


def parse_prefix(text: str) -> str:
    """Return the first digits of numbers, `+57300`, written with or without separators and asterisks for the rest.

    Raises `Refusal("invalid_number")`, whose detail does not contain the text.
    """
    prefix = _SEPARATORS.sub("", text).rstrip("*")
    if not _PREFIX.fullmatch(prefix):
        raise _invalid("Write a prefix as `+` and 1 to 15 digits: the country calling code and the digits after it.")
    return prefix


def check_country(number: PhoneNumber, countries: frozenset[str] | None) -> None:
    """Raise `Refusal("country_not_allowed")` unless `countries` (None: all) contains the number's region."""
    if countries is not None and number.region not in countries:
        raise Refusal("country_not_allowed", "This country is not served.")


def parse_served(text: str, countries: frozenset[str] | None) -> PhoneNumber:
    """Parse a number in E.164. Raises Refusal `invalid_number`, or `country_not_allowed` as `check_country` does."""
    number = parse(text)
    check_country(number, countries)
    return number


def spellings(text: str, countries: frozenset[str] | None = frozenset()) -> list[str]:
    """Return every E.164 form of the number that a gateway writes as `text`; first the forms that `parse` returns.

    It accepts separators, `+`, `00`, a trunk 0, the forms of `_SAME_PHONE` and those of a former numbering plan.
    Without `+` and `00` it can also be a number of each of `countries` that has no calling code: see `same_country`.
    If all are served (None), that is tried only if it is no international number: almost every one fits some country.
    """
    written = _WRITTEN.fullmatch(_SEPARATORS.sub("", text))
    if written is None:
        return []
    plus, digits = written.groups()
    forms = _international(digits)
    if not plus and not (forms and (digits.startswith("00") or countries is None)):
        forms |= {form for number in _national(digits, countries) for form in _forms(number[1:])}
    return sorted(forms, key=_rank) or ([f"+{digits}"] if _E164.fullmatch(f"+{digits}") else [])


def is_same(text: str, e164: str) -> bool:
    """Return whether what a gateway writes as `text` can be the number `e164`."""
    if text.removeprefix("+") == e164.removeprefix("+"):
        return True  # almost always; every other spelling takes milliseconds
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(_calling_code(e164) or 0), ())
    return e164 in spellings(text, frozenset(regions))


def same_country(e164s: Sequence[str]) -> bool:
    """Return whether all numbers have one calling code: the spellings of one phone do."""
    return len({_calling_code(e164) for e164 in e164s}) == 1


def is_sendable(e164: str) -> bool:
    """Return whether `parse` returns exactly this number."""
    try:
        return parse(e164).e164 == e164
    except Refusal:
        return False


def _rank(e164: str) -> tuple[bool, str]:
    return not is_sendable(e164), e164


def _forms(digits: str) -> set[str]:
    """Return the forms of an international number: as given, without a trunk 0, as libphonenumber formats it."""
    code = _calling_code(f"+{digits}")
    forms = {f"+{digits}"}
    if not _is_valid(f"+{digits}"):
        forms.add(f"+{code}{digits.removeprefix(code).removeprefix('0')}")
    forms |= {known for form in forms if (known := _formatted(form, None)) is not None}
    forms |= {pattern.sub(other, form) for form in forms for pattern, other in _SAME_PHONE if pattern.fullmatch(form)}
    forms |= {moved for form in forms for moved in (present_form(form), former_form(form)) if moved is not None}
    return {form for form in forms if _E164.fullmatch(form)}


def _international(digits: str) -> set[str]:
    for prefix in _INTERNATIONAL_PREFIXES:
        forms = _forms(digits.removeprefix(prefix)) if digits.startswith(prefix) else set()
        if any(_is_valid(form) for form in forms):
            return forms
    return set()


def _national(digits: str, countries: frozenset[str] | None) -> Iterator[str]:
    for region in KNOWN_REGIONS if countries is None else countries:
        number = _formatted(digits, region)
        if number is not None and is_sendable(number):
            yield number


def _formatted(text: str, region: str | None) -> str | None:
    try:
        return phonenumbers.format_number(phonenumbers.parse(text, region), PhoneNumberFormat.E164)
    except NumberParseException:
        return None


def _is_valid(e164: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(e164, None))
    except NumberParseException:
        return False


def mask(e164: str) -> str:
    """Return the number as logs and pages may show it: `+57******4567`; of a short one only two digits."""
    calling_code = _calling_code(e164)
    national = e164[1 + len(calling_code) :]
    shown = 4 if len(national) >= 8 else 2
    return f"+{calling_code}{'*' * (len(national) - shown)}{national[-shown:]}"


def mask_prefix(prefix: str) -> str:
    """Return a prefix as it is, or masked if it is a whole number."""
    return mask(prefix) if _is_valid(prefix) else prefix


def longest_prefix(e164: str, prefixes: Container[str]) -> str | None:
    """Return the longest of the prefixes, which have no `+`, that a number begins with; None if none does."""
    digits = e164.removeprefix("+")
    return next((digits[:end] for end in range(len(digits), 0, -1) if digits[:end] in prefixes), None)


def check_carrier(name: str) -> str:
    """Return the name of a carrier; raise ValueError if it cannot be a segment of the gateway's URL, or is `null`."""
    fits = 1 <= len(name) <= 64 and name == name.strip() and name not in {".", "..", "null"}
    if not fits or not texts.is_printable(name) or any(char in "/\\?#%" for char in name):
        raise ValueError("Must be the carrier's name: 1 to 64 printable characters, none of / \\ ? # %.")
    return name


def _calling_code(e164: str) -> str:
    return next((e164[1:end] for end in (2, 3, 4) if _is_calling_code(e164[1:end])), "")


def _is_calling_code(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and int(digits) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE


def _invalid(detail: str, *, is_landline: bool = False) -> Refusal:
    return Refusal("invalid_number", detail, errors=[FieldError("to", detail)], is_landline=is_landline)
