"""Phone numbers: one spelling of each, and only those that can take an SMS."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service import phone
from otp_service.errors import Refusal

MOBILE = "+447911123456"


def refusal(text: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        phone.parse(text)
    return caught.value


def test_parse_returns_e164_and_region() -> None:
    assert phone.parse("+573001234567") == phone.PhoneNumber("+573001234567", "CO")


def test_the_number_is_not_in_the_repr() -> None:
    assert "3001234567" not in repr(phone.parse("+573001234567"))


@pytest.mark.parametrize(
    "spelling",
    [
        "447911123456",
        "00447911123456",
        "+44 7911 123456",
        "+44.7911.123456",
        "+44(7911)123456",
        "+44-7911-123456",
        "+44\u00a07911123456",
        "\uff0b447911123456",
        "+\uff14\uff14\uff17\uff19\uff11\uff11\uff11\uff12\uff13\uff14\uff15\uff16",
        "+\u0664\u0664\u0667\u0669\u0661\u0661\u0661\u0662\u0663\u0664\u0665\u0666",
        "+447911123456;ext=1",
        "+447911123456x5",
        "tel:+447911123456",
        "7911123456;phone-context=+44",
        "tel:7911123456;phone-context=+44",
        "+447911123456\x00",
        "+447911123456\n",
        "\n+447911123456",
        " +447911123456",
        "+447911123456\u200b",
        "++447911123456",
        "+44791112345O",
        "+44SEVEN11123456",
        "+0447911123456",
        "+4479111234561234",
        "+",
        "",
    ],
)
def test_any_other_spelling_is_refused(spelling: str) -> None:
    assert refusal(spelling).code == "invalid_number"


def test_a_superfluous_trunk_zero_gives_the_same_number() -> None:
    assert phone.parse("+4407911123456") == phone.parse(MOBILE)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("+390612345678", "landline"),
        ("+4930123456", "landline"),
        ("+19005551234", "premium-rate"),
        ("+448712345678", "premium-rate"),
        ("+39848123456", "shared-cost"),
        ("+18005550199", "toll-free"),
        ("+445612345678", "VoIP"),
        ("+447012345678", "personal"),
        ("+447640123456", "pager"),
        ("+443001234567", "company-wide"),
        ("+870776312345", "non-geographic"),
        ("+881612345678", "non-geographic"),
        ("+88310000000", "non-geographic"),
        ("+882161234567", "non-geographic"),
        ("+80012345678", "non-geographic"),
        ("+979123456789", "non-geographic"),
        ("+15551234567", "not a number"),
        ("+1911000000", "not a number"),
        ("+2101234567", "calling code"),
    ],
)
def test_what_cannot_take_an_sms_is_refused_by_kind_and_without_the_number(number: str, kind: str) -> None:
    refused = refusal(number)
    assert refused.code == "invalid_number"
    assert kind in refused.detail
    assert number[4:] not in refused.detail


@pytest.mark.parametrize("number", ["+13056708084", "+393123456789", "+584121234567", "+5511961234567", "+38344123456"])
def test_mobile_numbers_are_taken_as_they_are(number: str) -> None:
    assert phone.parse(number).e164 == number


def test_an_italian_leading_zero_is_part_of_the_number() -> None:
    assert "landline" in refusal("+390612345678").detail
    assert "not a number" in refusal("+39612345").detail


@given(st.from_regex(r"\+(44|57|58|1|39|54|55|7)[0-9]{6,12}", fullmatch=True))
def test_what_parse_returns_parses_to_itself(text: str) -> None:
    try:
        number = phone.parse(text)
    except Refusal:
        return
    assert phone.parse(number.e164) == number


def test_countries() -> None:
    number = phone.parse(MOBILE)
    phone.check_country(number, None)
    phone.check_country(number, frozenset({number.region, "US"}))
    with pytest.raises(Refusal) as caught:
        phone.check_country(number, frozenset({"US"}))
    assert caught.value.code == "country_not_allowed"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+573001234567", "+57******4567"),
        ("+13056708084", "+1******8084"),
        ("+35312345678", "+353****5678"),
        ("+2901234", "+290**34"),
    ],
)
def test_mask_leaves_the_calling_code_and_at_most_four_digits(number: str, shown: str) -> None:
    assert phone.mask(number) == shown


@given(st.text(max_size=20))
def test_mask_takes_anything_and_never_shows_more_than_it_may(text: str) -> None:
    assert phone.mask(text).count("*") >= len(text) - 1 - 3 - 4


@pytest.mark.parametrize("name", ["Movistar", "Claro CO", "Telefónica", "AT&T", "x" * 64])
def test_an_operator_name_is_one_segment(name: str) -> None:
    assert phone.check_carrier(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", " x", "x ", "a/b", "a\\b", "a?b", "a#b", "a%2Fb", "a\r\nb", "a\x00b", "a\u202eb", "null", "x" * 65],
)
def test_an_operator_name_that_could_leave_its_segment_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Must be the carrier's name"):
        phone.check_carrier(name)


def test_the_large_data_of_phonenumbers_is_never_imported() -> None:
    script = (
        "import sys; from otp_service import phone; phone.parse('+573001234567');"
        "print([m for m in ('carrier', 'geocoder', 'timezone', 'carrierdata', 'geodata', 'tzdata')"
        " if f'phonenumbers.{m}' in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


ARGENTINA, MEXICO, BRAZIL, BENIN = "+5491123456789", "+525512345678", "+5511987654321", "+2290197123456"
COLOMBIA = "+573001234567"


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("541123456789", ARGENTINA),
        ("5491123456789", ARGENTINA),
        ("+54 9 11 2345-6789", ARGENTINA),
        ("54111523456789", ARGENTINA),
        ("5215512345678", MEXICO),
        ("+52 (1) 55 1234 5678", MEXICO),
        ("525512345678", MEXICO),
        ("551187654321", BRAZIL),
        ("55 011 98765-4321", BRAZIL),
        ("22997123456", BENIN),
        ("573001234567", COLOMBIA),
        (" +57 300 123 4567 ", COLOMBIA),
        ("57\u00a0300.123\u20114567", COLOMBIA),
        ("00573001234567", COLOMBIA),
        ("+00573001234567", COLOMBIA),
        ("011573001234567", COLOMBIA),
        ("5703001234567", COLOMBIA),
        ("4407911123456", MOBILE),
    ],
)
def test_the_spellings_of_a_number_begin_with_the_one_that_is_sent_to(text: str, e164: str) -> None:
    assert phone.spellings(text)[0] == e164
    assert phone.same_country(phone.spellings(text))


@pytest.mark.parametrize(
    ("e164", "other"),
    [
        (ARGENTINA, "+541123456789"),
        (MEXICO, "+5215512345678"),
        (BRAZIL, "+551187654321"),
        (BENIN, "+22997123456"),
    ],
)
def test_each_spelling_of_a_phone_leads_to_the_others(e164: str, other: str) -> None:
    assert set(phone.spellings(e164)) == set(phone.spellings(other)) == {e164, other}


@pytest.mark.parametrize("text", ["", "+", "+1", "12345", "CLARO", "5\x00", "１２３４５６７８", "5" * 21, "0" * 12])
def test_what_is_no_number_has_no_spelling(text: str) -> None:
    assert phone.spellings(text, None) == []


def test_a_landline_is_not_taken_for_a_mobile_phone() -> None:
    assert phone.spellings("551134567890") == ["+551134567890"]
    assert not phone.is_sendable("+551134567890")


def test_a_national_number_is_read_as_one_of_the_countries_served() -> None:
    assert phone.spellings("3001234567", frozenset({"CO", "US"})) == [COLOMBIA]
    assert phone.spellings("07911 123456", frozenset({"CO", "GB"})) == [MOBILE]
    assert phone.spellings("+3001234567", frozenset({"CO"})) == ["+3001234567"]
    # A number of the United States, and one of China without its calling code.
    assert set(phone.spellings("13056708084", frozenset({"CN", "US"}))) == {"+13056708084", "+8613056708084"}
    assert phone.spellings("13056708084", frozenset({"US"})) == ["+13056708084"]
    for international in ("+13056708084", "0013056708084"):
        assert phone.spellings(international, frozenset({"CN", "US"})) == ["+13056708084"]
    assert phone.spellings("13056708084", None) == ["+13056708084"]
    in_two = phone.spellings("3001234567", None)
    assert in_two == [COLOMBIA, "+923001234567"]
    assert not phone.same_country(in_two)


@given(st.text(alphabet="+0123456789 -5", max_size=24))
def test_every_spelling_is_in_e164(text: str) -> None:
    for spelling in phone.spellings(text):
        assert spelling[0] == "+"
        assert spelling[1:].isdigit()
        assert len(spelling) <= 16


@pytest.mark.parametrize(
    ("text", "e164", "same"),
    [
        ("5215512345678", "+525512345678", True),
        ("3001234567", "+573001234567", True),
        ("3001234567", "+12125550123", False),
        ("573001234568", "+573001234567", False),
        ("", "+573001234567", False),
    ],
)
def test_a_number_is_the_same_in_every_spelling_of_it(text: str, e164: str, same: bool) -> None:
    assert phone.is_same(text, e164) is same
