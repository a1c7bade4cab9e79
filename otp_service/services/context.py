"""What every service works with; made once, in `app.py`."""

from dataclasses import dataclass, field

from otp_service.clock import Clock
from otp_service.config.policy.policy import Policy
from otp_service.database.engine import Database
from otp_service.gateways.base import Gateway
from otp_service.gateways.health import GatewayHealth
from otp_service.gateways.webhooks import WebhookClient
from otp_service.hashing.hasher import PinHasher
from otp_service.services.delivery.decoys import RecentSends
from otp_service.services.guard.state import GuardCounts, Lists, TakeoverMeter
from otp_service.services.limits.concurrency import Concurrency
from otp_service.services.operations.loops import Wakes
from otp_service.vault import Vault


@dataclass(frozen=True)
class Context:
    """What every service needs. `countries`: ISO 3166 regions served, None for all.

    `default_carrier`: the operator if no other is known; `gateway_timeout`: total seconds of one call; `sender`: the
    code that people text to; `issuer`: of proofs.
    """

    policy: Policy
    countries: frozenset[str] | None
    default_carrier: str | None
    gateway_timeout: float
    clock: Clock
    database: Database
    vault: Vault
    hasher: PinHasher
    gateway: Gateway
    gateway_health: GatewayHealth
    webhooks: WebhookClient
    sender: str
    issuer: str
    wakes: Wakes
    concurrency: Concurrency = field(default_factory=Concurrency)
    recent_sends: RecentSends = field(default_factory=RecentSends)
    guard_lists: Lists = field(default_factory=Lists)
    takeovers: TakeoverMeter = field(default_factory=TakeoverMeter)
    guard_counts: GuardCounts = field(default_factory=GuardCounts)
