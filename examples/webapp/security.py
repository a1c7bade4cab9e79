"""The security page of an account: its factors, recovery codes and remembered browsers, and how they change."""

from otp_service_client import ChallengeCheck, Check, Factor, errors
from starlette.responses import Response
from starlette.routing import Route

from examples.webapp import factor_pages, messages, pages
from examples.webapp.accounts import Account
from examples.webapp.challenge_steps import ChallengeStep, start_challenge
from examples.webapp.pin_steps import PinStep
from examples.webapp.sessions import Pending
from examples.webapp.visits import Handler, Visit, go, visited

HOME = "/security"


def logged_in(handler: Handler) -> Handler:
    """Return the handler for users who are logged in. An error of the service shows the security page with it."""

    async def handle(visit: Visit) -> Response:
        if visit.account is None:
            return go("/login")
        try:
            return await handler(visit)
        except errors.Error as error:
            return await _page(visit, messages.of_error(error))

    return handle


async def change(visit: Visit) -> Response:
    """Make a change after a fresh challenge, if the account has a factor: a session can be stolen."""
    handler = CHANGES[visit.request.url.path]
    if visit.session.has_proof:
        return await handler(visit)
    try:
        challenge, problem = await start_challenge(visit, _account(visit).id)
    except errors.NoFactor:
        return await handler(visit)
    visit.session.change = visit.request.url.path, visit.form
    return CONFIRM.begin(visit, challenge, problem)


async def go_on(visit: Visit, check: ChallengeCheck) -> Response:
    """Make the change that waited for the challenge. The proof stays on the server and permits one change."""
    visit.session.keep_proof(check.proof)
    waiting, visit.session.change = visit.session.change, None
    if waiting is None:
        return go(HOME)
    path, visit.form = waiting
    return await logged_in(CHANGES[path])(visit)


async def show(visit: Visit) -> Response:
    """Show the factors, recovery codes and browsers of the account."""
    return await _page(visit)


async def add_app(visit: Visit) -> Response:
    """Add an authenticator app. It is not active before its first value was right."""
    account = _account(visit)
    visit.session.new_app = await visit.otp.factors.add_totp(
        subject=account.id, account_name=f"Quay ...{account.phone[-4:]}", proof=visit.session.take_proof()
    )
    return go(f"{HOME}/app")


async def show_app(visit: Visit) -> Response:
    """Show the QR code of the new app."""
    return _app_page(visit)


async def verify_app(visit: Visit) -> Response:
    """Check the first value of the new app; then make recovery codes, if there are none."""
    app = visit.session.new_app
    if app is None:
        return go(HOME)
    try:
        check = await visit.otp.factors.verify(app.id, visit.form.get("pin", ""))
    except errors.Error as error:
        return _app_page(visit, messages.of_error(error, "code"))
    if not check.approved:
        return _app_page(visit, messages.of_check(check.result, what="code", retry_at=check.retry_at))
    visit.session.new_app = None
    if (await visit.otp.factors.list(subject=_account(visit).id)).recovery_codes.remaining == 0:
        return await make_codes(visit)
    return _done(visit, "Your app is ready.")


async def show_phone(visit: Visit) -> Response:
    """Show the form for the number of another phone."""
    return _phone_page(visit)


async def add_phone(visit: Visit) -> Response:
    """Send a PIN to the new number."""
    try:
        verification = await visit.otp.verifications.start(
            to=visit.phone,
            purpose="signup",
            session=visit.session.secret,
            user_ip=visit.user_ip,
            subject=_account(visit).id,
        )
    except errors.Error as error:
        return _phone_page(visit, messages.of_error(error))
    visit.session.pending["phone"] = Pending(verification, visit.phone)
    return go(f"{HOME}/phone/pin")


async def finish_phone(visit: Visit, _: Pending, check: Check) -> Response:
    """Add the phone: two proofs, that of its number and that of the challenge."""
    await visit.otp.factors.add_sms(
        subject=_account(visit).id, phone_proof=check.proof or "", proof=visit.session.take_proof()
    )
    return _done(visit, "Your phone is added.")


async def make_codes(visit: Visit) -> Response:
    """Make recovery codes and show them once."""
    made = await visit.otp.factors.recovery_codes(subject=_account(visit).id, proof=visit.session.take_proof())
    return visit.show("Recovery codes", factor_pages.recovery_codes(made.codes))


async def update(visit: Visit) -> Response:
    """Name a factor, or use it first."""
    factor = await _own_factor(visit)
    if factor is not None:
        preferred = True if "prefer" in visit.form else None
        await visit.otp.factors.update(factor.id, name=visit.form.get("name") or None, preferred=preferred)
    return go(HOME)


async def remove(visit: Visit) -> Response:
    """Remove a factor. The service demands the proof for the last one, this application for every one."""
    factor = await _own_factor(visit)
    if factor is not None:
        await visit.otp.factors.remove(factor.id, proof=visit.session.take_proof())
    return _done(visit, "It is removed.")


async def forget_browser(visit: Visit) -> Response:
    """Revoke a remembered browser of the account."""
    devices = await visit.otp.devices.list(subject=_account(visit).id)
    if visit.form.get("id") in {device.id for device in devices}:
        await visit.otp.devices.revoke(visit.form["id"])
    return go(HOME)


async def _own_factor(visit: Visit) -> Factor | None:
    """Return the factor that the form names, if it is of this account: the service cannot know who asks."""
    factors = await visit.otp.factors.list(subject=_account(visit).id)
    return next((each for each in factors if each.id == visit.form.get("id")), None)


def _account(visit: Visit) -> Account:
    if visit.account is None:
        raise errors.NotFound
    return visit.account


def _done(visit: Visit, text: str) -> Response:
    visit.session.notice = text
    return go(HOME)


async def _page(visit: Visit, problem: str = "") -> Response:
    account = _account(visit)
    try:
        factors = await visit.otp.factors.list(subject=account.id)
        devices = await visit.otp.devices.list(subject=account.id)
    except errors.Error as error:
        return visit.show("Security", pages.alert(messages.of_error(error)), status=503)
    notice, visit.session.notice = visit.session.notice, ""
    content = factor_pages.security(visit.session.csrf, factors, devices)
    head = pages.notice(notice) if notice and not problem else pages.alert(problem)
    return visit.show("Security", head, content, status=422 if problem else 200)


def _app_page(visit: Visit, problem: str = "") -> Response:
    app = visit.session.new_app
    if app is None or app.totp is None:
        return go(HOME)
    page = factor_pages.new_app(visit.session.csrf, app.totp)
    return visit.show("Add an authenticator app", pages.alert(problem), page, status=422 if problem else 200)


def _phone_page(visit: Visit, problem: str = "") -> Response:
    page = factor_pages.new_phone(visit.session.csrf, visit.form.get("phone", ""))
    return visit.show("Add a phone", pages.alert(problem), page, status=422 if problem else 200)


CONFIRM = ChallengeStep("change", f"{HOME}/confirm", "Confirm that it is you", HOME, go_on)
PHONE = PinStep(
    "phone", f"{HOME}/phone", "Enter the PIN", lambda pending: f"We sent a PIN to {pending.phone}.", finish_phone
)
CHANGES = {
    f"{HOME}/app/new": add_app,
    f"{HOME}/phone": add_phone,
    f"{HOME}/codes": make_codes,
    f"{HOME}/remove": remove,
}
"""By path."""
ROUTES = [
    Route(HOME, visited(logged_in(show)), methods=["GET"]),
    Route(f"{HOME}/app", visited(logged_in(show_app)), methods=["GET"]),
    Route(f"{HOME}/app", visited(logged_in(verify_app)), methods=["POST"]),
    Route(f"{HOME}/phone", visited(logged_in(show_phone)), methods=["GET"]),
    Route(f"{HOME}/factor", visited(logged_in(update)), methods=["POST"]),
    Route(f"{HOME}/browser", visited(logged_in(forget_browser)), methods=["POST"]),
    *(Route(path, visited(logged_in(change)), methods=["POST"]) for path in CHANGES),
    *CONFIRM.routes,
    *PHONE.routes,
]
