"""The accounts, in memory. An application has a database here."""

import uuid
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from starlette.concurrency import run_in_threadpool

_hasher = PasswordHasher()
# Somebody without an account waits as long as somebody with a wrong password.
_NOBODY = _hasher.hash(str(uuid.uuid4()))


@dataclass
class Account:
    """Somebody who can log in with a verified number and a password."""

    phone: str = field(repr=False)
    password_hash: str = field(repr=False)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Accounts:
    """All accounts."""

    def __init__(self) -> None:
        self._by_id: dict[str, Account] = {}

    def add(self, phone: str, password_hash: str) -> Account:
        """Return a new account."""
        account = Account(phone, password_hash)
        self._by_id[account.id] = account
        return account

    def get(self, account_id: str | None) -> Account | None:
        """Return the account with this id."""
        return self._by_id.get(account_id or "")

    def of_phone(self, phone: str) -> Account | None:
        """Return the account with this number."""
        return next((each for each in self._by_id.values() if each.phone == phone), None)

    async def log_in(self, phone: str, password: str) -> Account | None:
        """Return the account with this number if the password is right."""
        account = self.of_phone(phone)
        right = await run_in_threadpool(_matches, account.password_hash if account else _NOBODY, password)
        return account if right else None


async def hash_password(password: str) -> str:
    """Return the hash of a password."""
    return await run_in_threadpool(_hasher.hash, password)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except VerifyMismatchError:
        return False
