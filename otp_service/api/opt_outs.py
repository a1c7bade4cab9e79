"""The calls under /v1/opt-outs."""

from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.answers import LookedUpAnswer, OptOutAnswer, answered
from otp_service.api.kit import bodies
from otp_service.api.kit.calls import authenticated, once
from otp_service.api.models import NumberBody
from otp_service.services.clients.idempotency import Claim
from otp_service.services.opt_outs import opt_outs


async def add(request: Request) -> Response:
    """Nothing goes to a number any more, whoever asks for it."""
    call = await authenticated(request)
    body = await bodies.read(request, NumberBody)

    async def run(claim: Claim | None) -> Response:
        return answered(OptOutAnswer, await opt_outs.add(call.ctx, call.client.id, body.to, claim))

    return await once(call, body, 200, run)


async def look_up(request: Request) -> Response:
    """Whether a number wants messages, and whether the gateway itself blocks it."""
    call = await authenticated(request)
    body = await bodies.read(request, NumberBody)

    async def run(_: Claim | None) -> Response:
        return answered(LookedUpAnswer, await opt_outs.look_up(call.ctx, body.to))

    return await once(call, body, 200, run)


async def remove(request: Request) -> Response:
    """The number takes messages again, unless the person texted STOP."""
    call = await authenticated(request)
    body = await bodies.read(request, NumberBody)

    async def run(claim: Claim | None) -> Response:
        return answered(OptOutAnswer, await opt_outs.remove(call.ctx, body.to, claim))

    return await once(call, body, 200, run)
