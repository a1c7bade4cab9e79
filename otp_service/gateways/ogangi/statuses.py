"""The vendor's message statuses in our words for a delivery."""

import re

from otp_service.gateways.base import DeliveryStatus

# The documented statuses and the plain words DELIVERED, REJECTED and FAILED, spelled as `normalised` returns them.
# After CARRIER_GATEWAY_ERROR and INTERNAL_ERROR the vendor retries the send by itself. Treating these as failures
# would make us send a second message beside the vendor's own.
_DELIVERIES: dict[str, DeliveryStatus] = {
    "SENT": "sent",
    "SENDING": "sent",
    "PENDING": "sent",
    "ACCEPTD": "sent",
    "BUFFRED": "sent",
    "SENT_TO_CARRIER": "sent",
    "SENT_TO_DEVICE": "sent",
    "DELIVERED_TO_CARRIER": "sent",
    "DELIVERED": "delivered",
    "DELIVERED_TO_DEVICE": "delivered",
    "DELIVRD": "delivered",
    "READ": "delivered",
    "DELETED": "undelivered",
    "EXPIRED": "undelivered",
    "UNDELIV": "undelivered",
    "UNDELIVERED": "undelivered",
    "UNREACHABLE": "undelivered",
    "BAD_ADDRESS": "failed",
    "BAD_CARRIER_FROM": "failed",
    "BAD_ENCODING": "failed",
    "BAD_FROM": "failed",
    "BAD_TIMEZONE": "failed",
    "BAD_TO": "failed",
    "FAILED": "failed",
    "INVALID_ROUTING": "failed",
    "NOT_ENOUGH_FUNDS": "failed",
    "NOT_SENT": "failed",
    "REJECTD": "failed",
    "REJECTED": "failed",
    "CARRIER_GATEWAY_ERROR": "unknown",
    "INTERNAL_ERROR": "unknown",
}
_PASSING = frozenset({"NOT_ENOUGH_FUNDS", "NOT_SENT"})


def normalised(status: str) -> str:
    """Return one spelling for a status: capitals, with `_` for spaces, slashes and the like."""
    return re.sub(r"[^A-Za-z0-9]+", "_", status).strip("_").upper()


def delivery(status: str) -> DeliveryStatus:
    """Return what a vendor status means for the message; one that is not in the table is `unknown`."""
    return _DELIVERIES.get(normalised(status), "unknown")


def is_failure(status: str) -> bool:
    """Return whether the message will not reach the handset and the vendor does not try again."""
    return delivery(status) in ("failed", "undelivered")


def is_passing(status: str) -> bool:
    """Return whether the cause of a failure can pass by itself, so that the message may be accepted later."""
    return normalised(status) in _PASSING
