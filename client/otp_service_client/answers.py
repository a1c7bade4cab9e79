"""The answers of the service. Secrets and numbers are left out of their `repr`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Delivery:
    """The delivery of the newest message: `sent`, `delivered`, `undelivered`, `unknown`, `failed`, or None."""

    status: str | None = None
    route: str | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True)
class Inbound:
    """What the user should text, and to which number."""

    send_to: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Verification:
    """One attempt to prove that the user holds a phone number.

    `status`: `pending`, `approved`, `expired`, `exhausted`, `canceled` or `failed`.
    """

    id: str
    status: str
    reason: str | None
    purpose: str
    to: str | None = field(repr=False)
    pin_length: int
    attempts_left: int
    sends_left: int
    created_at: datetime
    expires_at: datetime
    resend_at: datetime | None
    delivery: Delivery
    subject: str | None = field(repr=False)
    reference: str | None = field(repr=False)
    inbound: Inbound | None = None
    proof: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Check:
    """The result of a check.

    `result`: `approved`, `incorrect`, `exhausted`, `expired`, `locked`, `canceled`, `already_approved` or `no_pin`.
    `proof`: to redeem, if approved. `retry_at`: the end of the wait, if locked.
    """

    result: str
    verification: Verification
    proof: str | None = field(default=None, repr=False)
    retry_at: datetime | None = None

    @property
    def approved(self) -> bool:
        """Return whether the PIN was right. At most one check of a verification is approved."""
        return self.result == "approved"


@dataclass(frozen=True)
class Event:
    """Something that happened to a verification."""

    at: datetime
    type: str
    route: str | None = None
    result: str | None = None
    detail: str | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Events:
    """The history of a verification, oldest first."""

    events: tuple[Event, ...]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


@dataclass(frozen=True)
class SearchPage:
    """Verifications, newest first. `next_cursor` is None on the last page."""

    verifications: tuple[Verification, ...]
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[Verification]:
        return iter(self.verifications)

    def __len__(self) -> int:
        return len(self.verifications)


@dataclass(frozen=True)
class Redemption:
    """What a redeemed proof says: who was approved, and for what. `test`: the number is a test number.

    `to`: None if the proof is of a challenge that proved no number.
    """

    verification_id: str
    purpose: str
    to: str | None = field(repr=False)
    subject: str | None = field(repr=False)
    reference: str | None = field(repr=False)
    approved_at: datetime
    redeemed_at: datetime
    test: bool = False


@dataclass(frozen=True)
class Notification:
    """A message without a PIN. `status`: `queued`, `sent`, `delivered`, `undelivered`, `unknown` or `failed`."""

    id: str
    status: str
    reason: str | None
    to: str | None = field(repr=False)
    segments: int
    template: str | None
    reference: str | None = field(repr=False)
    created_at: datetime
    sent_at: datetime | None
    route: str | None


@dataclass(frozen=True)
class OptOut:
    """Whether a number has opted out. `gateway_blacklisted`: only of a lookup; None if the gateway did not answer."""

    to: str = field(repr=False)
    opted_out: bool
    source: str | None
    since: datetime | None
    gateway_blacklisted: bool | None = None
