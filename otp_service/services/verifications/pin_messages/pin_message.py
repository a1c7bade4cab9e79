"""One PIN message: what travels from the request over the routes to the outcome."""

import time
from dataclasses import dataclass, field

from otp_service.config.policy.policy import Purpose
from otp_service.config.policy.test_numbers import TestNumber
from otp_service.errors import Refusal
from otp_service.hashing.hasher import PinHash
from otp_service.hashing.queue import Ticket
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.delivery import test_numbers
from otp_service.services.delivery.decoys import RecentSend
from otp_service.services.delivery.sending import CARRIER_ROUTES
from otp_service.services.guard.screening import Screened
from otp_service.storage.limits.buckets import Reserved

TOTAL_SECONDS = 9.5
"""For all routes together. A start is answered within 10 s; the rest is for hashing and storing."""


@dataclass
class RouteSend:
    """One send over one route. `pin`: ours, None if the gateway makes it; `id`: of its row in `sends`."""

    route: str
    pin: str | None = field(default=None, repr=False)
    pin_hash: PinHash | None = field(default=None, repr=False)
    id: int = 0


@dataclass
class PinMessage:
    """One message of a verification, from the request to the outcome."""

    ticket: Ticket
    client_id: str
    verification_id: str
    to: str | None = field(repr=False)
    """None if a decoy has no number."""
    purpose: Purpose
    locale: str | None
    carrier: str | None
    idempotent: IdempotentRequest | None
    deadline: float
    """On the monotonic clock, for all routes."""
    lifetime_left: float
    """Seconds of the verification."""
    imitated: RecentSend | None = None
    """The real message that a decoy imitates."""
    test_number: TestNumber | None = None
    """The entry of a test number."""
    is_test: bool = False
    """Whether it is to a test number, also of a decoy."""
    factor_id: str | None = None
    """Of a challenge."""
    ends_if_refused: bool = True
    """Whether the verification fails if this is its only message and is refused for sure."""
    subject: str | None = None
    address_digest: str | None = None
    network_digest: str | None = None
    """Of the person's /24 or /64."""
    asks_guard: bool = True
    """Whether the guard decides about it."""

    # What the transaction fills in that counts the send.
    number_id: int = 0
    known_since: float | None = None
    """Of a known person."""
    limit_scope: str | None = None
    """The suffix of the limits of a known person; None if the shared ones apply."""
    reserved: list[Reserved] = field(default_factory=list)
    """In the limits."""
    prices: dict[str, int] = field(default_factory=dict)
    """What is reserved under the ceilings, by their keys."""
    screened: Screened | None = field(default=None, repr=False)
    """What the guard counts of it."""

    gateway_seconds: float = 0.0
    current_send: RouteSend = field(init=False, repr=False)
    """The send that is tried now."""

    @property
    def routes(self) -> list[str]:
        """Return the purpose's routes, without those that need an unknown carrier. Refusal: `gateway_failed`."""
        if self.test_number is not None:
            return [test_numbers.TEST_ROUTE]
        any_route = self.carrier is not None or self.to is None
        routes: list[str] = [r for r in self.purpose.routes if any_route or r not in CARRIER_ROUTES]
        if not routes:
            detail = "Every route needs a carrier and none is known. Pass `carrier`, or configure [carriers]."
            raise Refusal("gateway_failed", detail)
        if self.imitated is not None:
            return [self.imitated.route] if self.imitated.route in routes else routes[:1]
        return routes

    @property
    def seconds_to_deadline(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline - time.monotonic()


def deadline() -> float:
    """Return the deadline of a message whose request arrives now."""
    return time.monotonic() + TOTAL_SECONDS
