"""How recovery codes look, and how people may type them."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's Base32: of each pair that looks alike it has one."""
_LOOK_ALIKES = str.maketrans("oil", "011")
_LONGEST = 64
CODE_LENGTH = 10
"""Of 5 bits each."""


def new_code() -> str:
    """Return a new recovery code of 50 random bits, such as `x7gq-2m0d-4k`."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(CODE_LENGTH))
    return f"{code[:4]}-{code[4:8]}-{code[8:]}"


def clean_code(typed: str) -> str | None:
    """Return a recovery code in its one form, without case, spaces and hyphens; None if it cannot be one."""
    if len(typed) > _LONGEST or not typed.isascii():
        return None
    code = typed.replace(" ", "").replace("-", "").lower().translate(_LOOK_ALIKES)
    return code if len(code) == CODE_LENGTH and set(code) <= set(_ALPHABET) else None
