"""Sessions of browsers, kept on the server. The cookie holds a random id and nothing else."""

import math
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from otp_service_client import Verification

LIFETIME = 3600.0
"""Seconds until an unused session ends."""


def _random() -> str:
    return secrets.token_urlsafe(16)


@dataclass
class Pending:
    """A verification that waits for its PIN, and what the user entered before."""

    verification: Verification
    phone: str = field(repr=False)
    password_hash: str = field(default="", repr=False)

    def seconds_to_resend(self) -> int | None:
        """Return the seconds until another message can be sent, or None if there is none."""
        at = self.verification.resend_at
        return None if at is None else max(0, math.ceil((at - datetime.now(UTC)).total_seconds()))


@dataclass
class Session:
    """What the server knows about one browser."""

    id: str = field(default_factory=_random, repr=False)
    csrf: str = field(default_factory=_random, repr=False)
    """In every form: another site cannot read it, so it cannot send our forms."""
    secret: str = field(default_factory=_random, repr=False)
    """The `session` of verifications: a PIN is worth nothing in another browser."""
    account_id: str | None = None
    pending: dict[str, Pending] = field(default_factory=dict)
    """By purpose."""
    reset_proof: str = field(default="", repr=False)
    used_at: float = 0.0


class Sessions:
    """All sessions, in memory. An application with several processes keeps them in a database."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}

    def find(self, session_id: str) -> Session:
        """Return the session with this id, or a new one with another id."""
        self._remove_unused()
        session = self._by_id.get(session_id) or self.add(Session())
        session.used_at = time.monotonic()
        return session

    def add(self, session: Session) -> Session:
        """Keep a session and return it."""
        session.used_at = time.monotonic()
        self._by_id[session.id] = session
        return session

    def log_in(self, old: Session, account_id: str) -> Session:
        """Return a new session: whoever knew the old id must not be logged in by it."""
        self._by_id.pop(old.id, None)
        return self.add(Session(account_id=account_id))

    def end(self, session: Session) -> None:
        """End a session."""
        self._by_id.pop(session.id, None)

    def end_all(self, account_id: str) -> None:
        """End all sessions of an account."""
        for session in [each for each in self._by_id.values() if each.account_id == account_id]:
            self.end(session)

    def _remove_unused(self) -> None:
        oldest = time.monotonic() - LIFETIME
        for session in [each for each in self._by_id.values() if each.used_at < oldest]:
            self.end(session)
