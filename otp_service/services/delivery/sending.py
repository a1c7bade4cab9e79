"""Sends one message over one route, behind the circuit breaker; nothing else sends."""

import time

from otp_service.gateways import breaker
from otp_service.gateways.base import Message, Outcome, Sent
from otp_service.observability.metrics import GATEWAY_SECONDS, SENDS
from otp_service.services.context import Context

CARRIER_ROUTES = frozenset({"pin", "sms"})
LEAST_SECONDS = 1.0
"""A call with less time left is not made."""


async def send(ctx: Context, route: str, message: Message, timeout: float, pin_length: int = 0) -> Sent:
    """Send over `pin`, `sms` or `mt` within `timeout` seconds. `pin_length`: of the PIN that the route `pin` makes.

    If the breaker is open, the send is refused without a call: `breaker_open`.
    """
    if not ctx.gateway_health.allows(route, ctx.clock.now()):
        sent = Sent(Outcome.REFUSED, breaker.OPEN, passing=True)
    else:
        with GATEWAY_SECONDS.labels(route).time():
            sent = await _send(ctx, route, message, timeout, pin_length)
        ctx.gateway_health.record_send(route, sent, ctx.clock.now())
    SENDS.labels(route, sent.outcome.value).inc()
    return sent


async def _send(ctx: Context, route: str, message: Message, timeout: float, pin_length: int) -> Sent:
    """Try once more if no connection was made: only then is it sure that nothing was sent."""
    deadline = time.monotonic() + timeout
    sent = await _call(ctx, route, message, timeout, pin_length)
    left = deadline - time.monotonic()
    if sent.reason != "not_connected" or left < LEAST_SECONDS:
        return sent
    return await _call(ctx, route, message, left, pin_length)


async def _call(ctx: Context, route: str, message: Message, timeout: float, pin_length: int) -> Sent:
    if route == "pin":
        return await ctx.gateway.send_pin(message, pin_length, timeout)
    if route == "sms":
        return await ctx.gateway.send_sms(message, timeout)
    return await ctx.gateway.send_mt(message, timeout)
