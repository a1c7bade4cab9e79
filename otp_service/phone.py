"""Phone numbers: what counts as one that can take an SMS, in E.164 only, and how one is shown."""

import re
from dataclasses import dataclass, field

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from otp_service import texts
from otp_service.errors import FieldError, Refusal

KNOWN_REGIONS: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""The ISO 3166 regions (two letters, and `XK`) that can stand in `OTP_COUNTRIES`."""

# phonenumbers also parses other scripts' digits, `tel:` and `;ext=`, so this comes before it.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
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


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that can take an SMS. `e164`: canonical; `region`: two letters, e.g. `CO`."""

    e164: str = field(repr=False)
    region: str


def parse(text: str) -> PhoneNumber:
    """The number that `text` writes in E.164. Raises `Refusal("invalid_number")`, without the number in its detail."""
    if not _E164.fullmatch(text):
        raise _invalid(_WRITE_E164)
    try:
        number = phonenumbers.parse(text, None)
    except NumberParseException:
        raise _invalid("No country has this calling code.") from None
    if not phonenumbers.is_valid_number(number):
        raise _invalid("This is not a number that can exist in its country.")
    region = phonenumbers.region_code_for_number(number)
    # First, because phonenumbers calls the satellites of +870 "mobile".
    if region is None or region == _NON_GEOGRAPHIC:
        raise _invalid("This is a satellite or other non-geographic number; only mobile numbers are served.")
    kind = phonenumbers.number_type(number)
    if kind not in _TAKES_SMS:
        raise _invalid(f"This is {_KINDS.get(kind, 'a number of unknown kind')}; only mobile numbers are served.")
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


def check_country(number: PhoneNumber, countries: frozenset[str] | None) -> None:
    """Raises `Refusal("country_not_allowed")` unless `countries` (None: everywhere) holds the number's region."""
    if countries is not None and number.region not in countries:
        raise Refusal("country_not_allowed", "Nothing is sent to numbers of this country.")


def mask(e164: str) -> str:
    """The number as logs and pages may show it: `+57******4567`; of a short one the last two digits stay."""
    calling_code = next((e164[1:end] for end in (2, 3, 4) if _is_calling_code(e164[1:end])), "")
    national = e164[1 + len(calling_code) :]
    shown = 4 if len(national) >= 8 else 2
    return f"+{calling_code}{'*' * (len(national) - shown)}{national[-shown:]}"


def carrier_is_safe(text: str) -> bool:
    """Whether the operator name `text` stays one segment of the gateway's URL: 1 to 64 characters, no `/ \\ ? # %`."""
    if not 1 <= len(text) <= 64 or text != text.strip() or text in {".", ".."}:
        return False
    return texts.is_printable(text) and not any(char in "/\\?#%" for char in text)


def _is_calling_code(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and int(digits) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE


def _invalid(detail: str) -> Refusal:
    return Refusal("invalid_number", detail, errors=[FieldError("to", detail)])
