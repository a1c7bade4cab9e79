"""The phrase that a person texts us to prove a number: short, made by us, used once."""

import hmac
import re
import secrets
import unicodedata

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O and U."""
_LETTERS = 8
_LOOK_ALIKES = str.maketrans("OIL", "011")
_LONGEST = 200
"""Characters of a text that can be a phrase."""


def new_phrase() -> str:
    """Return a phrase of 40 random bits as it is shown, such as `ABCD-EFGH`."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
    return f"{letters[:4]}-{letters[4:]}"


def is_like_one(text: str) -> bool:
    """Return whether a text has as many letters and digits as a phrase: most have not, which saves a lookup."""
    return len(letters(text)) == _LETTERS


def same(phrase: str, text: str) -> bool:
    """Return whether a person's text is the phrase and nothing else, in constant time.

    Case, space, hyphens, quotes and other punctuation do not matter; O is 0, I and L are 1.
    """
    return hmac.compare_digest(letters(phrase), letters(text))


def digest_input(text: str) -> bytes:
    """Return what the keyed digest is made of by which the database finds the phrase that a text may be."""
    return b"phrase " + letters(text)


def letters(text: str) -> bytes:
    """Return what is compared of a phrase or of a person's text, the same for each way to write a phrase."""
    if len(text) > _LONGEST:
        return b""
    plain = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text)).upper()
    return plain.translate(_LOOK_ALIKES).encode("utf-8", "replace")
