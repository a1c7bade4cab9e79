"""Segments, Base64 and signatures, against the vendor's vectors."""

from base64 import urlsafe_b64decode
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.gateways.ogangi import signing
from tests.gateways.ogangi.vectors import NUMBER, NUMBER_BASE64, PRIVATE_KEY, PUBLIC_KEY, SIGNATURES, TEXT, TEXT_BASE64


@pytest.mark.parametrize(("parameters", "signature"), SIGNATURES.items())
def test_every_vector_signs_as_documented(parameters: str, signature: str) -> None:
    assert signing.sign(PRIVATE_KEY, parameters.split("/")) == signature


def test_base64_is_url_safe_with_and_without_padding() -> None:
    assert signing.base64_segment(TEXT, padding=False) == TEXT_BASE64
    assert signing.base64_segment(TEXT, padding=True) == TEXT_BASE64 + "=="
    assert signing.base64_segment(NUMBER, padding=False) == NUMBER_BASE64


def test_filters_keep_their_own_characters() -> None:
    assert signing.plain("from=13056708084&order=desc", keep="=&,") == "from=13056708084&order=desc"


def test_a_path_ends_in_public_key_and_signature() -> None:
    path = signing.signed_path("fireMessage", ["43"], public_key=PUBLIC_KEY, private_key=PRIVATE_KEY)
    assert path == f"/rest/api/fireMessage/43/{PUBLIC_KEY}/{SIGNATURES['43']}"


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a/b", "a\\b", "a?b", "a#b", "%2F", "a%b"),
        *("a\r\nb", "a\nb", "a\tb", "a\x00b", "\x7f", "\x85", "\u2028", "\u202e", "\u200b", "\ud800"),
    ],
)
def test_what_cannot_be_one_segment_is_refused_without_its_value(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        signing.check_segment(text)
    assert len(text) < 3 or text not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        ("Movistar", "Movistar"),
        ("Tigo Une", "Tigo%20Une"),
        ("Télcel", "T%C3%A9lcel"),
        ("AT&T", "AT%26T"),
        ("a;b", "a%3Bb"),
    ],
)
def test_a_carrier_name_is_percent_encoded(text: str, segment: str) -> None:
    assert signing.plain(text) == segment


def test_an_empty_text_or_half_a_character_is_refused() -> None:
    for text in ("", "\ud83d"):
        with pytest.raises(ValueError):
            signing.base64_segment(text, padding=False)


@given(st.text())
def test_a_segment_is_refused_or_exactly_one_segment(text: str) -> None:
    try:
        segment = signing.plain(text)
    except ValueError:
        return
    assert segment.isascii()
    assert not set(segment) & set("/?#\\ ")
    assert unquote(segment) == text


@given(st.text(min_size=1), st.booleans())
def test_base64_gives_the_text_back(text: str, padding: bool) -> None:
    segment = signing.base64_segment(text, padding=padding)
    assert urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode() == text
