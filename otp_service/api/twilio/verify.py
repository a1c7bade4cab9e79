"""The calls of Twilio Verify: start, resend, fetch, cancel and check a verification, fetch a service."""

from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.kit.answers import answered
from otp_service.api.twilio import answers, errors, forms
from otp_service.api.twilio.answers import TwilioCheck, TwilioService, TwilioVerification
from otp_service.api.twilio.calls import TwilioCall, authenticated
from otp_service.api.twilio.forms import CheckForm, StartForm, UpdateForm
from otp_service.errors import FieldError, Refusal, invalid_fields, not_found
from otp_service.services.limits import limits
from otp_service.services.verifications import checks, lifecycle, new_verifications, resends, search, starts
from otp_service.services.verifications.new_verifications import StartRequest
from otp_service.services.verifications.representation import Verification


async def create(request: Request) -> Response:
    """Start a verification, or resend the PIN of the one that is pending for this number."""
    call = await authenticated(request)
    purpose = _known_purpose(call)
    form = await forms.read(request, StartForm)
    asked = StartRequest(call.client.id, form.to, purpose, locale=form.locale, user_ip=form.device_ip)
    return await _shown(call, await _send(call, asked), 201)


async def fetch(request: Request) -> Response:
    """Return a verification."""
    call = await authenticated(request)
    return await _shown(call, await _read(call))


async def update(request: Request) -> Response:
    """Cancel a verification."""
    call = await authenticated(request)
    await forms.read(request, UpdateForm)
    found = await _read(call)
    return await _shown(call, await lifecycle.cancel(call.ctx, call.client.id, found.id))


async def check(request: Request) -> Response:
    """Check a PIN, which uses an attempt."""
    call = await authenticated(request)
    form = await forms.read(request, CheckForm)
    checked = await checks.check(
        call.ctx,
        checks.CheckRequest(
            client_id=call.client.id,
            verification_id=await _wanted(call, form),
            pin=form.code.get_secret_value(),
            to=form.to,
            purpose=call.purpose,
        ),
    )
    if checked.result == "exhausted":
        return errors.error(*errors.MAX_CHECKS, "Max check attempts reached. Start a new verification.")
    if checked.retry_at is not None:
        raise limits.limited(limits.FAILURES, checked.retry_at - call.ctx.clock.now())
    if checked.result not in {"approved", "incorrect"}:
        raise not_found("pending verification")
    return answered(TwilioCheck, answers.check(call, checked))


async def fetch_service(request: Request) -> Response:
    """Return a purpose as a service."""
    call = await authenticated(request)
    purpose = call.ctx.policy.purposes[_known_purpose(call)]
    return answered(TwilioService, answers.service(call, purpose))


def _known_purpose(call: TwilioCall) -> str:
    if call.purpose not in call.ctx.policy.purposes:
        raise not_found("service")
    return call.purpose


async def _send(call: TwilioCall, asked: StartRequest) -> Verification:
    started, is_new = await starts.start(call.ctx, asked)
    if is_new:
        return started
    try:
        return await resends.resend(call.ctx, call.client.id, started.id)
    except Refusal as refusal:
        if refusal.code != "not_pending":
            raise
        # It has ended since the start, unless the policy has changed.
        started, is_new = await starts.start(call.ctx, asked)
        if not is_new:
            raise
        return started


async def _read(call: TwilioCall) -> Verification:
    found = await lifecycle.read(call.ctx, call.client.id, call.id)
    if found.purpose != call.purpose:
        raise not_found("verification")
    return found


async def _wanted(call: TwilioCall, form: CheckForm) -> str:
    """Return the id of the verification to check: of the sid, else the newest one of the number."""
    if form.verification_sid is not None:
        return call.id_of(form.verification_sid)
    if form.to is None:
        raise invalid_fields(FieldError("To", "Required, or VerificationSid."))
    newest = await search.newest_of_number(call.ctx, call.client.id, call.purpose, form.to)
    # A check of an unknown id takes as long as any other.
    return newest or new_verifications.new_id()


async def _shown(call: TwilioCall, found: Verification, status: int = 200) -> Response:
    events = await lifecycle.list_events(call.ctx, call.client.id, found.id)
    return answered(TwilioVerification, answers.verification(call, found, events), status)
