"""The Python client of otp_service: `Client`, `AsyncClient`, the answers, `errors` and `webhooks`."""

from otp_service_client import errors, webhooks
from otp_service_client.answers import (
    Check,
    Delivery,
    Event,
    Events,
    Inbound,
    Notification,
    OptOut,
    Redemption,
    SearchPage,
    Verification,
)
from otp_service_client.async_client import AsyncClient
from otp_service_client.client import Client
from otp_service_client.factor_answers import (
    Challenge,
    ChallengeCheck,
    Device,
    Devices,
    Factor,
    FactorCheck,
    FactorChoice,
    Factors,
    NewRecoveryCodes,
    RecoveryCodes,
    Subject,
    Totp,
)
from otp_service_client.webhooks import WebhookEvent

__all__ = [
    "AsyncClient",
    "Challenge",
    "ChallengeCheck",
    "Check",
    "Client",
    "Delivery",
    "Device",
    "Devices",
    "Event",
    "Events",
    "Factor",
    "FactorCheck",
    "FactorChoice",
    "Factors",
    "Inbound",
    "NewRecoveryCodes",
    "Notification",
    "OptOut",
    "RecoveryCodes",
    "Redemption",
    "SearchPage",
    "Subject",
    "Totp",
    "Verification",
    "WebhookEvent",
    "errors",
    "webhooks",
]
