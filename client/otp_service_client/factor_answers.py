"""The answers about second factors. Secrets are left out of their `repr`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from otp_service_client.answers import Delivery, Verification


@dataclass(frozen=True)
class Totp:
    """What an authenticator app needs: `qr_svg` is `uri` as a picture, `secret` is for typing."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    qr_svg: str = field(repr=False)


@dataclass(frozen=True)
class Factor:
    """A second factor of a user. `type`: `totp` or `sms`; `status`: `unverified`, `active` or `locked`.

    `hint`: the end of a phone's number. `totp`: only of a new app.
    """

    id: str
    subject: str = field(repr=False)
    type: str
    name: str | None = field(repr=False)
    status: str
    hint: str | None
    preferred: bool
    created_at: datetime
    verified_at: datetime | None
    last_used_at: datetime | None
    totp: Totp | None = None


@dataclass(frozen=True)
class FactorCheck:
    """The result of the first value of a new app. `retry_at`: the end of the wait, if locked."""

    result: str
    factor: Factor
    retry_at: datetime | None = None

    @property
    def approved(self) -> bool:
        """Return whether the value was right and the factor is active."""
        return self.result == "approved"


@dataclass(frozen=True)
class RecoveryCodes:
    """How many recovery codes a user has left. `created_at`: None if there are none."""

    remaining: int
    created_at: datetime | None


@dataclass(frozen=True)
class NewRecoveryCodes:
    """New recovery codes, which no other call returns."""

    codes: tuple[str, ...] = field(repr=False)
    remaining: int
    created_at: datetime

    def __iter__(self) -> Iterator[str]:
        return iter(self.codes)

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Factors:
    """The second factors of a user, oldest first, and the recovery codes."""

    factors: tuple[Factor, ...]
    recovery_codes: RecoveryCodes

    def __iter__(self) -> Iterator[Factor]:
        return iter(self.factors)

    def __len__(self) -> int:
        return len(self.factors)


@dataclass(frozen=True)
class FactorChoice:
    """A factor that a challenge can be about."""

    id: str
    type: str
    name: str | None = field(repr=False)
    hint: str | None


@dataclass(frozen=True)
class Challenge:
    """One use of a second factor. `status`: as of a verification.

    `factor`: the one that is challenged; `factors`: the others. `proof`: only if a remembered device passed it.
    """

    id: str
    status: str
    reason: str | None
    purpose: str
    subject: str | None = field(repr=False)
    factor: FactorChoice | None
    factors: tuple[FactorChoice, ...]
    attempts_left: int
    sends_left: int
    resend_at: datetime | None
    created_at: datetime
    expires_at: datetime
    delivery: Delivery
    proof: str | None = field(default=None, repr=False)

    @property
    def approved(self) -> bool:
        """Return whether a remembered device passed the challenge at its start."""
        return self.status == "approved"


@dataclass(frozen=True)
class ChallengeCheck:
    """The result of a check of a challenge. `result`: as of a verification; `proof`: to redeem, if approved.

    `device`: the token of a remembered device, for a cookie. `retry_at`: the end of the wait, if locked.
    """

    result: str
    challenge: Challenge
    proof: str | None = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)
    retry_at: datetime | None = None

    @property
    def approved(self) -> bool:
        """Return whether what the user typed was right. At most one check of a challenge is approved."""
        return self.result == "approved"


@dataclass(frozen=True)
class Device:
    """A browser or app that a user asked to remember."""

    id: str
    subject: str = field(repr=False)
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True)
class Devices:
    """The remembered devices of a user, oldest first."""

    devices: tuple[Device, ...]

    def __iter__(self) -> Iterator[Device]:
        return iter(self.devices)

    def __len__(self) -> int:
        return len(self.devices)


@dataclass(frozen=True)
class FailureCount:
    """Consecutive wrong checks of a user. `kind`: `factors` or `recovery_codes`."""

    kind: str
    checks: int
    waits_until: datetime | None
    last_at: datetime


@dataclass(frozen=True)
class ChallengeOfSubject:
    """A challenge of a user, or the enrolment of an app. `factor`: the id of the factor."""

    id: str
    status: str
    reason: str | None
    purpose: str
    factor: str | None
    to: str | None = field(repr=False)
    attempts_left: int
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class ApprovedNumber:
    """That a number of a user was approved: when first, and when last."""

    since: datetime
    last_at: datetime


@dataclass(frozen=True)
class Subject:
    """Everything that is kept of a user; of challenges and verifications the newest 1,000."""

    subject: str = field(repr=False)
    created_at: datetime | None
    factors: tuple[Factor, ...]
    recovery_codes: RecoveryCodes
    devices: tuple[Device, ...]
    failures: tuple[FailureCount, ...]
    challenges: tuple[ChallengeOfSubject, ...]
    verifications: tuple[Verification, ...]
    approved_numbers: tuple[ApprovedNumber, ...] = ()
