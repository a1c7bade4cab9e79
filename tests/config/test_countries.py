"""`OTP_COUNTRIES`: codes that some number matches; anything else is rejected with the code to write."""

import phonenumbers
import pytest
from phonenumbers import PhoneNumberType

from otp_service import phone
from otp_service.config import countries
from otp_service.config.countries import checked_countries


@pytest.mark.parametrize(
    ("text", "checked"), [("CO,US", "CO,US"), (" co , us", "CO,US"), ("*", "*"), ("IM", "IM"), ("XK", "XK")]
)
def test_codes_are_accepted_in_any_case(text: str, checked: str) -> None:
    assert checked_countries(text) == checked


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Colombia", '"Colombia" is not an ISO 3166 code; write CO'),
        ("CO, united  states", '"united  states" is not an ISO 3166 code; write US'),
        ("COL", '"COL" is not an ISO 3166 code; write two-letter codes such as CO,US,VE, or * alone'),
        ("CO,*", "the value is not an ISO 3166 code; write two-letter codes such as CO,US,VE, or * alone"),
        ("CX", "CX: its numbers count as AU; write AU"),
        ("TA", "TA: it has no mobile numbers; leave it out"),
        (
            "Peru,va",
            '"Peru" is not an ISO 3166 code; write PE; VA: its numbers count as IT; write IT',
        ),
    ],
)
def test_a_wrong_code_is_named_with_the_code_to_write(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        checked_countries(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("text", ["FBF3-4310-909C-C4BBC26F886F", "x" * 41, "k1:abc", "a\nb"])
def test_what_may_be_a_secret_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^the value is not") as caught:
        checked_countries(text)
    assert text not in str(caught.value)


def test_exactly_the_regions_without_mobile_numbers_of_their_own_are_rejected() -> None:
    refused = countries._COUNTED_AS.keys() | countries._NO_MOBILE
    elsewhere = {
        region: code for region in sorted(phone.KNOWN_REGIONS) if (code := _region_of_example(region)) != region
    }
    assert elsewhere.pop("IM") == "GB"  # has numbers of its own beside those that count as GB
    assert elsewhere.keys() == refused
    assert {region: elsewhere[region] for region in countries._COUNTED_AS} == countries._COUNTED_AS
    assert phone.parse("+447624123456").region == "IM"


def _region_of_example(region: str) -> str | None:
    for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE):
        example = phonenumbers.example_number_for_type(region, kind)
        if example is not None and phonenumbers.number_type(example) in phone._TAKES_SMS:
            return phonenumbers.region_code_for_number(example)
    return None
