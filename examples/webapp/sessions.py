"""Sessions of browsers, kept on the server. The cookie holds a random id and nothing else."""

import math
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime

from otp_service_client import Challenge, Factor, Verification

LIFETIME = 3600.0
"""Seconds until an unused session ends."""
PROOF_LIFETIME = 240.0
"""Seconds for a change after its challenge; the service ends a proof a minute later."""


def seconds_until(at: datetime, now: datetime) -> int:
    """Return the seconds until a time, rounded up; 0 if it has passed."""
    return max(0, math.ceil((at - now).total_seconds()))


def _random() -> str:
    return secrets.token_urlsafe(16)


@dataclass
class Pending:
    """A verification that waits for its PIN, and what the user entered before."""

    verification: Verification
    phone: str = field(repr=False)
    password_hash: str = field(default="", repr=False)


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
    challenges: dict[str, Challenge] = field(default_factory=dict)
    """By the name of their step."""
    change: tuple[str, dict[str, str]] | None = field(default=None, repr=False)
    """The path and the form of a change that waits for its challenge."""
    new_app: Factor | None = field(default=None, repr=False)
    notice: str = ""
    used_at: float = 0.0
    _proof: tuple[str, float] = field(default=("", 0.0), repr=False)

    def keep_proof(self, proof: str | None) -> None:
        """Keep the proof of a challenge that the user has just passed, for one change."""
        self._proof = proof or "", time.monotonic() + PROOF_LIFETIME

    @property
    def has_proof(self) -> bool:
        """Return whether the user has just passed a challenge and changed nothing since."""
        proof, until = self._proof
        return bool(proof) and time.monotonic() < until

    def take_proof(self) -> str | None:
        """Return the proof for a change, once."""
        proof = self._proof[0] if self.has_proof else None
        self._proof = "", 0.0
        return proof


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
