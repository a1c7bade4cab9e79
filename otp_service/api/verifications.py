"""The calls under /v1/verifications."""

from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.answers import CheckAnswer, EventsAnswer, VerificationAnswer, answered
from otp_service.api.kit import bodies, rate_limits
from otp_service.api.kit.calls import authenticated, once
from otp_service.api.models import CheckBody, StartBody
from otp_service.services.clients.idempotency import Claim
from otp_service.services.verifications import checks, inbound_starts, lifecycle, resends, starts


async def create(request: Request) -> Response:
    """Sends a PIN to a number, or says what to text us; the same one again while it is pending."""
    call = await authenticated(request)
    body = await bodies.read(request, StartBody)
    asked = starts.StartRequest(client_id=call.client.id, **body.model_dump(exclude={"channel"}))
    start = inbound_starts.start if body.channel == "inbound" else starts.start

    async def run(claim: Claim | None) -> Response:
        verification, created = await start(call.ctx, asked, claim)
        headers = rate_limits.headers(verification.quota)
        return answered(VerificationAnswer, verification, 201 if created else 200, headers)

    return await once(call, body, 201, run)


async def check(request: Request) -> Response:
    """Compares a PIN; spends an attempt."""
    call = await authenticated(request)
    body = await bodies.read(request, CheckBody)
    asked = checks.CheckRequest(
        client_id=call.client.id,
        verification_id=call.verification_id,
        pin=body.pin.get_secret_value(),
        session=body.session,
        to=body.to,
        purpose=body.purpose,
    )

    async def run(claim: Claim | None) -> Response:
        return answered(CheckAnswer, await checks.check(call.ctx, asked, claim))

    return await once(call, body, 200, run)


async def resend(request: Request) -> Response:
    """Sends a new PIN of the same verification; the attempts stay spent."""
    call = await authenticated(request)
    await bodies.read_empty(request)

    async def run(claim: Claim | None) -> Response:
        verification = await resends.resend(call.ctx, call.client.id, call.verification_id, claim)
        headers = rate_limits.headers(verification.quota)
        return answered(VerificationAnswer, verification, headers=headers)

    return await once(call, None, 200, run)


async def cancel(request: Request) -> Response:
    """Ends a pending verification."""
    call = await authenticated(request)
    await bodies.read_empty(request)

    async def run(claim: Claim | None) -> Response:
        verification = await lifecycle.cancel(call.ctx, call.client.id, call.verification_id, claim)
        return answered(VerificationAnswer, verification)

    return await once(call, None, 200, run)


async def read(request: Request) -> Response:
    """A verification as it is now."""
    call = await authenticated(request)
    verification = await lifecycle.read(call.ctx, call.client.id, call.verification_id)
    return answered(VerificationAnswer, verification)


async def events(request: Request) -> Response:
    """Everything that happened to a verification, oldest first, never a PIN."""
    call = await authenticated(request)
    story = await lifecycle.list_events(call.ctx, call.client.id, call.verification_id)
    return answered(EventsAnswer, {"events": story})
