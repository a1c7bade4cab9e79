"""One PIN message: what travels from the request over the routes to the outcome."""

import time
from dataclasses import dataclass, field

from otp_service.config.policy import Purpose
from otp_service.config.test_numbers import TestNumber
from otp_service.errors import Refusal
from otp_service.hashing.hasher import PinHash
from otp_service.hashing.queue import Ticket
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.delivery import test_numbers
from otp_service.services.delivery.decoys import RecentSend
from otp_service.services.delivery.sending import CARRIER_ROUTES
from otp_service.services.guard.keys import KeyedRequest
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
    """One message of a verification, from the request to the outcome.

    `to`: None if a decoy has no number; `imitated`: the real message that a decoy imitates; `test_number`: the entry of
    a test number; `is_test`: to a test number, also of a decoy; `factor_id`: of a challenge; `ends_if_refused`: the
    verification fails if this is its only message and is refused for sure. `deadline`: on the monotonic clock, for all
    routes; `lifetime_left`: seconds of the verification; `current_send`: the one that is tried now. `network_digest`:
    of the person's /24 or /64; `is_screened`: the guard decides about it. The transaction that counts the send fills
    `number_id`, `known_since` (of a known person), `reserved`, `prices` (what is reserved, by ceiling) and
    `guard_request` (what the guard counts of it).
    """

    ticket: Ticket
    client_id: str
    verification_id: str
    to: str | None = field(repr=False)
    purpose: Purpose
    locale: str | None
    carrier: str | None
    idempotent: IdempotentRequest | None
    deadline: float
    lifetime_left: float
    imitated: RecentSend | None = None
    test_number: TestNumber | None = None
    is_test: bool = False
    factor_id: str | None = None
    ends_if_refused: bool = True
    subject: str | None = None
    address_digest: str | None = None
    network_digest: str | None = None
    is_screened: bool = True
    number_id: int = 0
    known_since: float | None = None
    reserved: list[Reserved] = field(default_factory=list)
    prices: dict[str, int] = field(default_factory=dict)
    guard_request: KeyedRequest | None = field(default=None, repr=False)
    gateway_seconds: float = 0.0
    current_send: RouteSend = field(init=False, repr=False)

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
