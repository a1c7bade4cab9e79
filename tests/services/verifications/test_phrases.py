"""Phrases that people text us: random, and read with tolerance for hands and eyes, not for anything else."""

import re

import pytest

from otp_service.services.verifications import phrases


def test_a_phrase_is_eight_characters_without_look_alikes_and_never_the_same() -> None:
    made = {phrases.new_phrase() for _ in range(2000)}
    assert len(made) == 2000
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", phrase) for phrase in made)
    assert len(set("".join(made))) == 33


@pytest.mark.parametrize(
    "text",
    [
        "K0F1-9XYZ",
        "k0f1-9xyz",
        " K0F19XYZ\r\n",
        "kofi 9xyz",
        "“K0FL-9XYZ”.",
        "K 0 F 1 9 X Y Z",
        "K0F1—9XYZ",
        "K0F1_9XYZ",
    ],
)
def test_case_space_punctuation_and_look_alikes_do_not_matter(text: str) -> None:
    assert phrases.same("K0F1-9XYZ", text)
    assert phrases.is_like_one(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "K0F1", "K0F1-9XY", "K0F1-9XYZZ", "my phrase is K0F1-9XYZ", "K0F1-9XYZ K0F1-9XYZ", "\x00"),
        *("К0F1-9XYZ", "K0F1-9XY\udc00", "K0F1-9XYZ" + " " * 200, "K0F1-9XYZ" * 5000),
    ],
    ids=range(12),
)
def test_anything_else_is_another_text(text: str) -> None:
    assert not phrases.same("K0F1-9XYZ", text)
