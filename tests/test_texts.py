"""The words of a message: what is put in stays inert, and what ships fits one segment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service import texts
from otp_service.config.policy import shipped_texts
from otp_service.config.policy.policy import Policy, Purpose

SHIPPED = [
    (purpose, locale, template)
    for purpose, templates in {**shipped_texts.SHIPPED, "generic": shipped_texts.GENERIC}.items()
    for locale, template in templates.items()
]


@pytest.mark.parametrize("locale",
    [
        "en", "pt-BR", "pt_br", "zh_Hant_TW", "fil", "es-419", "sl-rozaj-biske-1994", "de-DE-u-co-phonebk",
        "sr-Latn-RS", "zh-cmn-Hans-CN", "ca-ES-valencia", "de-CH-1901", "en-a-bbb-x-a-ccc", "ar-u-nu-latn-ca-islamic",
        "hy-Latn-IT-arevela", "x-whatever", "i-klingon", "en-GB-oed", "english",
        "th-TH-u-ca-buddhist-nu-thai-x-lvariant-TH",
    ],
)  # fmt: skip
def test_wellformed_locales(locale: str) -> None:
    assert texts.locale_is_wellformed(locale)


@pytest.mark.parametrize(
    "locale",
    [
        "", "e", "en-", "-en", "en--US", "en\n", "en-US\n", "../en", "ｅｎ", "\u212aa", "en-US-a", "a" * 2000, "en US",
        "englishes", "en-u", "x", "es-CO,es;q=0.9,en;q=0.8", "es-CO;q=0.9", "*", "en_US.UTF-8", "en-" + "a" * 9,
        "en" + "-abcde" * 30,
    ],
)  # fmt: skip
def test_malformed_locales(locale: str) -> None:
    assert not texts.locale_is_wellformed(locale)


@pytest.mark.parametrize(
    ("locale", "chosen"),
    [
        ("pt-BR", "br {pin}"),
        ("PT_br", "br {pin}"),
        ("pt-PT", "pt {pin}"),
        ("pt", "pt {pin}"),
        ("pt-BR-u-nu-latn", "br {pin}"),
        ("pt-Latn-BR", "pt {pin}"),
        ("de-DE-u-co-phonebk", "en {pin}"),
        ("fr", "en {pin}"),
        (None, "en {pin}"),
    ],
)
def test_choose_takes_the_longest_beginning_of_the_locale_then_the_default(locale: str | None, chosen: str) -> None:
    written = {"en": "en {pin}", "pt": "pt {pin}", "pt_BR": "br {pin}"}
    purpose = Policy.model_validate({"purposes": {"pay": {"text": written}}}).purposes["pay"]
    assert texts.choose(purpose, locale) == chosen


def test_the_default_locale_falls_back_to_its_language_too() -> None:
    purpose = Purpose(name="pay", default_locale="en-GB")
    assert texts.choose(purpose, None) == shipped_texts.GENERIC["en"]


def test_render_fills_in_each_field() -> None:
    filled = texts.render("{pin} {minutes} {brand}", pin="012345", minutes=9, brand="Acme")
    assert filled == "012345 9 Acme"


@given(pin=st.text(), brand=st.text())
def test_what_is_put_in_is_never_interpreted(pin: str, brand: str) -> None:
    filled = texts.render("{brand}|{pin}|{minutes}", pin=pin, minutes=5, brand=brand)
    assert filled == f"{brand}|{pin}|5"


@pytest.mark.parametrize("evil", ["{pin}", "{minutes}", "{0}", "{brand.__class__}", "%s", "$pin", "\\g<1>", "{{}}"])
def test_placeholders_and_format_strings_put_in_stay_as_they_are(evil: str) -> None:
    assert texts.render("{brand}: {pin}", pin=evil, minutes=1, brand=evil) == f"{evil}: {evil}"


@given(template=st.text(), minutes=st.integers(1, 10), pin=st.from_regex("[0-9]{6}", fullmatch=True), brand=st.text())
def test_what_was_filled_in_reads_like_its_template(template: str, minutes: int, pin: str, brand: str) -> None:
    whole = f"{{brand}} {template} {{minutes}}: {{pin}}"
    filled = texts.render(whole, pin=pin, minutes=minutes, brand=brand)
    assert texts.reads_like(filled, whole, pin_length=6, brand=brand)
    assert not texts.reads_like(f"{filled}1", whole, pin_length=6, brand=brand)
    assert not texts.reads_like(f"{filled}\n", whole, pin_length=6, brand=brand)


@pytest.mark.parametrize(("purpose", "locale", "template"), SHIPPED)
def test_a_shipped_text_is_one_gsm7_segment_at_its_longest(purpose: str, locale: str, template: str) -> None:
    filled = texts.render(template, pin="0" * 10, minutes=10, brand="B" * 40)
    assert len(filled) > 70  # so one segment proves that it is GSM-7
    assert texts.segments(filled) == 1, (purpose, locale)


@pytest.mark.parametrize(("purpose", "locale", "template"), SHIPPED)
def test_a_shipped_text_says_everything(purpose: str, locale: str, template: str) -> None:
    assert texts.problem_with(template) is None, purpose
    assert all(word in template for word in ("PIN", "{brand}", "{minutes}", "compart" if locale != "en" else "share"))
    assert texts.placeholder_is_clear("", template, "Acme")
    assert texts.placeholder_is_clear("{0}", template, "Acme")


@pytest.mark.parametrize("purpose", sorted(shipped_texts.SHIPPED))
def test_every_shipped_purpose_has_the_generic_locales(purpose: str) -> None:
    assert shipped_texts.SHIPPED[purpose].keys() == shipped_texts.GENERIC.keys()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the escape pair moves to the second part as a whole
        ("ó" * 70, 1),
        ("ó" * 71, 2),
        ("ó" * 134, 2),
        ("ó" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),  # 33 pairs to a part, 66 units of its 67
        ("\ud800", 1),
    ],
)
def test_segments(text: str, count: int) -> None:
    assert texts.segments(text) == count


def test_the_gsm7_alphabet_has_its_128_characters() -> None:
    assert len(texts._GSM7) == 127  # the 128th is the escape
    assert not texts._GSM7 & texts._GSM7_EXTENDED


@pytest.mark.parametrize(
    ("placeholder", "template", "brand", "clear"),
    [
        ("{0}", "{brand}: {pin}", "Acme", True),
        ("PIN", "{brand} PIN: {pin}", "Acme", False),
        ("PIN", "{brand}: {pin}", "SPINE", False),
        ("10", "{minutes} min: {pin}", "Acme", False),
        ("aa", "a{pin}", "Acme", False),
        ("", "{brand}: {pin}", "Acme", True),
        ("", "{pin} for {brand}", "Acme", False),
    ],
)
def test_a_placeholder_must_name_one_place(placeholder: str, template: str, brand: str, clear: bool) -> None:
    assert texts.placeholder_is_clear(placeholder, template, brand) is clear


@pytest.mark.parametrize(
    "text",
    ["@bank.example #123456", "Hello @bank.example #123456", "17 @bank.example  #1", "a\n @b.example #1", "@b #1\n \n"],
)
def test_a_message_cannot_carry_the_line_that_browsers_take_for_a_pin(text: str) -> None:
    assert texts.problem_with_message(text) is not None


@pytest.mark.parametrize(
    "text", ["write to help@bank.example", "order #17 at @shop", "@ana: hello", "@b.example #1\nis your order", "a\n@b"]
)
def test_another_line_with_an_at_sign_is_accepted(text: str) -> None:
    assert texts.problem_with_message(text) is None


@pytest.mark.parametrize(
    "text",
    ["می\u200cخواهم", "क्\u200dष", "\u200fשלום!", "a\u200eb", "\u061cعمر", "👨\u200d👩\u200d👧\ufe0f", "\U0001fae9"],
)
def test_joiners_marks_and_new_emoji_are_printable(text: str) -> None:
    assert texts.is_printable(text)


@pytest.mark.parametrize("char", [*"\0\a\t\n\r\x1b\x7f\x85\u2028\u2029\u202a\u202e\u2066\u2069\uffff", "\ud83d"])
def test_controls_overrides_isolates_and_lone_surrogates_are_not_printable(char: str) -> None:
    assert not texts.is_printable(f"a{char}b")
