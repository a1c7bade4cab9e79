"""PINs: made of ASCII digits alone, and cleaned of nothing but spaces and hyphens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.hashing import pins


@pytest.mark.parametrize("length", range(pins.MIN_LENGTH, pins.MAX_LENGTH + 1))
def test_a_made_pin_has_its_length_also_with_leading_zeros(length: int) -> None:
    made = {pins.generate(length) for _ in range(300)}
    assert len(made) > 290
    assert all(len(pin) == length and pin.isascii() and pin.isdigit() for pin in made)
    assert any(pin.startswith("0") for pin in made)


@pytest.mark.parametrize("typed", ["123456", "123 456", "123-456", " 1 2 3-4 5 6 "])
def test_spaces_and_hyphens_are_dropped(typed: str) -> None:
    assert pins.clean(typed) == "123456"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "12345",
        "12345678901",
        "123456\n",
        "\t123456",
        "123456\0",
        "12345a",
        "+12345",
        "123_456",
        "1" * 5000,
        "١٢٣٤٥٦",
        "１２３４５６",
        "123\u00a0456",
        "123\u200b456",
        "123–456",
        "²²²²²²",
        "0x1234",
    ],
)
def test_anything_else_is_no_pin(typed: str) -> None:
    assert pins.clean(typed) is None


@given(st.text(max_size=80))
def test_what_is_cleaned_is_six_to_ten_ascii_digits(typed: str) -> None:
    cleaned = pins.clean(typed)
    assert cleaned is None or (6 <= len(cleaned) <= 10 and set(cleaned) <= set("0123456789"))
