"""What the gateway posts to our callback address, brought to whom it concerns."""

from otp_service.gateways.base import Inbound, Receipt
from otp_service.observability.metrics import RECEIPTS
from otp_service.services.context import Context
from otp_service.services.delivery import receipts
from otp_service.services.inbound import reader


async def take(ctx: Context, said: Inbound | Receipt | None) -> None:
    """A text from a person or a receipt; None, which says nothing that we know, is counted alone."""
    if isinstance(said, Inbound):
        await reader.on_text(ctx, said)
    elif isinstance(said, Receipt):
        await receipts.record(ctx, said, "callback")
    else:
        RECEIPTS.labels("ignored", "callback").inc()
