"""What tests of receipts share: the simulator's notices, brought as the callback route brings them."""

from typing import Any
from urllib.parse import urlencode

from otp_service.gateways.base import Receipt
from otp_service.gateways.ogangi.callbacks import read_callback
from otp_service.services.inbound import callbacks
from tests.support.service import AT_ONCE, NO_LIMITS, Service
from tests.support.vendor import Vendor


def config(**signup: Any) -> dict[str, Any]:
    """A policy without limits. `signup`: over the shipped purpose."""
    return {"limits": NO_LIMITS, "purposes": {"signup": {**AT_ONCE, **signup}}}


BY_SMS = config(routes=["sms"])
"""The one route on which the vendor tells the id of its message."""


def receipt_of(vendor: Vendor, to: str, status: str) -> Receipt:
    """The newest message to a number gets a status, in the vendor's words; what would be called back."""
    vendor.set_status(to, status)
    said = read_callback(urlencode(vendor.notices()[0]).encode())
    assert isinstance(said, Receipt)
    return said


async def tell(service: Service, to: str, status: str, times: int = 1) -> None:
    """The same, called back."""
    said = receipt_of(service.vendor, to, status)
    for _ in range(times):
        await callbacks.handle(service.ctx, said)
