"""How the session of a start is compared with the session that a later call gives."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Self

from otp_service.database.statements import AnyRow

SAME_SESSION = "(session_digest IS NOT DISTINCT FROM :session_digest OR session_hash = :session_hash)"
"""The condition of SQL that `Session.is_of` is in Python."""


@dataclass(frozen=True, slots=True)
class Session:
    """What is stored of a session; both are None if there is none.

    `hash`: base64url SHA-256, which a start can give as its `session_challenge`; `digest`: all that rows of the
    previous release have.
    """

    digest: str | None = field(repr=False)
    hash: str | None = field(repr=False)

    @classmethod
    def of(cls, client_id: str, session: str | None) -> Self:
        """Return what is stored of the application's secret."""
        if session is None:
            return cls(None, None)
        digest = hashlib.sha256(f"{client_id}\0{session}".encode()).hexdigest()
        return cls(digest, urlsafe_b64encode(hashlib.sha256(session.encode()).digest()).decode().rstrip("="))

    @classmethod
    def of_challenge(cls, challenge: str) -> Self:
        """Return what is stored of a `session_challenge`. The previous release refuses its checks."""
        return cls(challenge, challenge)

    @property
    def parameters(self) -> dict[str, str | None]:
        """Return the parameters of `SAME_SESSION`."""
        return {"session_digest": self.digest, "session_hash": self.hash}

    def is_of(self, row: AnyRow) -> bool:
        """Return whether a verification was started with this session."""
        return row.session_digest == self.digest or (self.hash is not None and row.session_hash == self.hash)
