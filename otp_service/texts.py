"""The words of a message: choosing the locale, filling in the PIN, counting SMS segments."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Protocol

_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}")
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
    """Whether `text` looks like a BCP 47 language tag (`es`, `pt-BR`, `zh_Hant_TW`), in ASCII."""
    return _LOCALE.fullmatch(text) is not None


def locale_key(locale: str) -> str:
    """The one spelling of a locale under which texts are kept: lower case, `-`."""
    return locale.lower().replace("_", "-")


def choose(purpose: _HasTexts, locale: str | None) -> str:
    """The template for `locale`: the exact one, else that of its language, else that of the default locale.

    The purpose's texts are kept under `locale_key`s.
    """
    for wanted in (locale, purpose.default_locale):
        template = find(purpose.text, wanted) if wanted else None
        if template is not None:
            return template
    raise LookupError("the default locale has no text")


def find(text: Mapping[str, str], locale: str) -> str | None:
    """The template of exactly `locale`, else of its language, else None."""
    key = locale_key(locale)
    return text.get(key) or text.get(key.partition("-")[0])


def render(template: str, *, pin: str, minutes: int, brand: str) -> str:
    """The template filled in, in a single pass: what is put in is never interpreted again."""
    values = {"pin": pin, "minutes": str(minutes), "brand": brand}
    return _FIELD.sub(lambda match: values[match[1]], template)


def reads_like(text: str, template: str, *, pin_length: int, brand: str) -> bool:
    """Whether `text` can be the template filled in, with whatever PIN of that length and whatever minutes."""
    shapes = {"pin": f"[0-9]{{{pin_length}}}", "minutes": "[0-9]{1,2}", "brand": re.escape(brand)}
    pieces = _FIELD.split(template)  # words and names of fields, in turn
    pattern = "".join(shapes[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces))
    return re.fullmatch(pattern, text) is not None


def problem_with(template: str) -> str | None:
    """What keeps `template` from being the text of a message, as the end of a sentence; None if nothing does."""
    if template.count("{pin}") != 1:
        return "should hold {pin} exactly once"
    if any(char in "{}" for char in _FIELD.sub("", template)):
        return "should hold no braces but {pin}, {minutes} and {brand}"
    if not is_printable(template.replace("\n", "")):
        return "should hold no control, format or bidirectional characters"
    if any(line.lstrip().startswith("@") for line in template.split("\n")):
        return "should have no line that begins with '@': browsers read that as ours (WebOTP)"
    return None


def problem_with_template(template: str) -> str | None:
    """What keeps `template` from being one of a notification, as the end of a sentence; None if nothing does."""
    if any(char in "{}" for char in _NAMED.sub("", template)):
        return "should hold no braces but {names} of a-z, 0-9 and _"
    return problem_with_message(_NAMED.sub("", template))


def fields(template: str) -> list[str]:
    """The {names} that stand in a notification's template."""
    return _NAMED.findall(template)


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """A notification's template filled in, in a single pass: what is put in is never interpreted again."""
    return _NAMED.sub(lambda match: values[match[1]], template)


def problem_with_message(text: str) -> str | None:
    """What keeps `text` from being sent as a message that is no PIN, as the end of a sentence; None if nothing does."""
    if not text.strip():
        return "should not be empty"
    if not is_printable(text.replace("\n", "")):
        return "should hold no control, format or bidirectional characters but line breaks"
    if any(line.lstrip().startswith("@") for line in text.split("\n")) or _WEB_OTP.search(text):
        return "should have no line that begins with '@', and no '@name #code': browsers read that as a PIN's (WebOTP)"
    return None


def placeholder_is_clear(placeholder: str, template: str, brand: str) -> bool:
    """Whether a gateway that replaces `placeholder` (empty: appends the PIN) puts its PIN at {pin} and nowhere else."""
    if not placeholder:
        return template.endswith("{pin}")
    places = re.compile(f"(?={re.escape(placeholder)})")
    filled = (render(template, pin=placeholder, minutes=minutes, brand=brand) for minutes in range(1, 11))
    return all(len(places.findall(text)) == 1 for text in filled)


def is_printable(text: str) -> bool:
    """Whether `text` is free of control, format (bidirectional), unassigned, surrogate and line-breaking characters."""
    return not any(category[0] == "C" or category in {"Zl", "Zp"} for category in map(unicodedata.category, text))


def segments(text: str) -> int:
    """How many SMS `text` takes: 160 (153 each) GSM-7 septets, else 70 (67 each) UCS-2 units."""
    if all(char in _GSM7 or char in _GSM7_EXTENDED for char in text):
        return _pack((2 if char in _GSM7_EXTENDED else 1 for char in text), single=160, part=153)
    return _pack((2 if ord(char) > 0xFFFF else 1 for char in text), single=70, part=67)


def _pack(sizes: Iterable[int], single: int, part: int) -> int:
    # An escape or a surrogate pair is never split over two parts, so lengths alone do not tell.
    total, parts, used = 0, 1, 0
    for size in sizes:
        total += size
        used += size
        if used > part:
            parts, used = parts + 1, size
    return 1 if total <= single else parts
