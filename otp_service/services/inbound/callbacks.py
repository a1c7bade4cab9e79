"""Passes what the gateway posts to our callback address to whom it concerns."""

from otp_service.gateways.base import InboundMessage, Receipt
from otp_service.observability.metrics import CALLBACKS
from otp_service.services.context import Context
from otp_service.services.delivery import receipts
from otp_service.services.inbound import reader


async def handle(ctx: Context, content: InboundMessage | Receipt | None) -> None:
    """Handle a text from a person or a receipt. `content`: None if the callback says nothing that we know."""
    if isinstance(content, InboundMessage):
        CALLBACKS.labels("text").inc()
        await reader.on_text(ctx, content)
    elif isinstance(content, Receipt):
        CALLBACKS.labels("receipt").inc()
        await receipts.record(ctx, content, "callback")
    else:
        CALLBACKS.labels("unreadable").inc()
