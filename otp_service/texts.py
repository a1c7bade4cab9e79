"""Texts of messages: checking them, choosing the locale, filling in the PIN, counting SMS segments."""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

LONGEST_LOCALE = 128
# RFC 5646: language, script, region, variants, extensions, private use; or private use alone, or a grandfathered tag.
_LOCALE = re.compile(
    r"([a-z]{2,3}(-[a-z]{3}){0,3}|[a-z]{4,8})(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    r"(-[a-wy-z0-9](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?"
    r"|x(-[a-z0-9]{1,8})+|i-[a-z]{2,8}|en-gb-oed|sgn-(be-fr|be-nl|ch-de)"
)
# Controls, surrogates, line separators, bidirectional embeddings, overrides and isolates, and what XML cannot hold.
# Not joiners and marks: Persian, Hindi and Hebrew names and emoji need them.
_REFUSED = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_WEB_OTP = re.compile(r"(^|\s)@\S+\s+#\S")
_NAMED = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
_FIELD = re.compile(r"\{(pin|minutes|brand)\}")

# GSM 03.38, the default alphabet and its extension table, whose characters take an escape as well.
_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_EXTENDED = frozenset("^{}\\[~]|€\f")


class _HasTexts(Protocol):
    @property
    def text(self) -> Mapping[str, str]: ...
    @property
    def default_locale(self) -> str: ...


def locale_is_wellformed(text: str) -> bool:
    """Return whether `text` is a well-formed BCP 47 language tag (RFC 5646); `_` counts as `-`."""
    return len(text) <= LONGEST_LOCALE and text.isascii() and _LOCALE.fullmatch(locale_key(text)) is not None


def locale_key(locale: str) -> str:
    """Return the spelling of a locale under which texts are stored: lower case, with `-`."""
    return locale.lower().replace("_", "-")


def choose(purpose: _HasTexts, locale: str | None) -> str:
    """Return the template for `locale`, or for the default locale if there is none; see `find`.

    The texts of a purpose are stored under `locale_key`s.
    """
    for wanted in (locale, purpose.default_locale):
        template = find(purpose.text, wanted) if wanted else None
        if template is not None:
            return template
    raise LookupError("the default locale has no text")


def find(text: Mapping[str, str], locale: str) -> str | None:
    """Return the template of `locale`, of the longest beginning of it that has one (RFC 4647, lookup), or None."""
    key = locale_key(locale)
    while key and key not in text:
        key = key.rpartition("-")[0]
    return text.get(key)


def render(template: str, *, pin: str, minutes: int, brand: str) -> str:
    """Fill in a PIN's template in a single pass: values are never interpreted again."""
    values = {"pin": pin, "minutes": str(minutes), "brand": brand}
    return _FIELD.sub(lambda match: values[match[1]], template)


def reads_like(text: str, template: str, *, pin_length: int, brand: str) -> bool:
    """Return whether `text` can be the template filled in, with any PIN of that length and any minutes."""
    shapes = {"pin": f"[0-9]{{{pin_length}}}", "minutes": "[0-9]{1,2}", "brand": re.escape(brand)}
    pieces = _FIELD.split(template)  # alternately text and the name of a field
    pattern = "".join(shapes[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces))
    return re.fullmatch(pattern, text) is not None


def problem_with(template: str) -> str | None:
    """Return what is wrong with the template of a PIN's message, as the end of a sentence, or None."""
    if template.count("{pin}") != 1:
        return "must contain {pin} exactly once"
    if any(char in "{}" for char in _FIELD.sub("", template)):
        return "must not contain braces other than {pin}, {minutes} and {brand}"
    return _problem_with_lines(template)


def problem_with_template(template: str) -> str | None:
    """Return what is wrong with the template of a notification, as the end of a sentence, or None."""
    if any(char in "{}" for char in _NAMED.sub("", template)):
        return "must not contain braces other than {names} of a-z, 0-9 and _"
    return problem_with_message(_NAMED.sub("", template))


def fields(template: str) -> list[str]:
    """Return the {names} in the template of a notification."""
    return _NAMED.findall(template)


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """Fill in the template of a notification in a single pass: values are never interpreted again."""
    return _NAMED.sub(lambda match: values[match[1]], template)


def problem_with_message(text: str) -> str | None:
    """Return what is wrong with the text of a message without a PIN, as the end of a sentence, or None."""
    return _problem_with_lines(text) if text.strip() else "must not be empty"


def _problem_with_lines(text: str) -> str | None:
    if not is_printable(text.replace("\n", "")):
        return "must not contain control or bidirectional characters other than line breaks"
    if is_web_otp(text):
        return "must not end with a line like '@host #code': browsers would read a PIN from it (WebOTP)"
    return None


def is_web_otp(text: str) -> bool:
    """Return whether browsers take a PIN from the last line of `text`: `@host #PIN`."""
    return _WEB_OTP.search(text.rstrip().rpartition("\n")[2]) is not None


def unix_lines(text: str) -> str:
    """Return `text` with LF for CR LF."""
    return text.replace("\r\n", "\n")


def placeholder_is_clear(placeholder: str, template: str, brand: str) -> bool:
    """Return whether a gateway that replaces `placeholder` (empty: appends the PIN) puts the PIN at {pin} only."""
    if not placeholder:
        return template.endswith("{pin}")
    places = re.compile(f"(?={re.escape(placeholder)})")
    filled = (render(template, pin=placeholder, minutes=minutes, brand=brand) for minutes in range(1, 11))
    return all(len(places.findall(text)) == 1 for text in filled)


def is_printable(text: str) -> bool:
    """Return whether `text` is one line without controls, bidirectional overrides, isolates and lone surrogates."""
    return _REFUSED.search(text) is None


def segments(text: str) -> int:
    """Return how many SMS `text` takes: 160 (153 each) GSM-7 septets, else 70 (67 each) UCS-2 units."""
    if all(char in _GSM7 or char in _GSM7_EXTENDED for char in text):
        return _pack((2 if char in _GSM7_EXTENDED else 1 for char in text), single=160, part=153)
    return _pack((2 if ord(char) > 0xFFFF else 1 for char in text), single=70, part=67)


def _pack(sizes: Iterable[int], single: int, part: int) -> int:
    # An escape or a surrogate pair is never split over two parts, so the total length is not enough.
    total, parts, used = 0, 1, 0
    for size in sizes:
        total += size
        used += size
        if used > part:
            parts, used = parts + 1, size
    return 1 if total <= single else parts
