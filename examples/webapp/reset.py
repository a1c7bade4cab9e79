"""Password reset: the same pages in the same time, whether there is an account or not."""

from otp_service_client import Check, errors
from starlette.responses import Response
from starlette.routing import Route

from examples.webapp import messages, pages
from examples.webapp.accounts import hash_password
from examples.webapp.pin_steps import PinStep, redeem
from examples.webapp.sessions import Pending
from examples.webapp.visits import Visit, go, visited

TITLE = "Set a new password"
PURPOSE = "password_reset"


async def show(visit: Visit) -> Response:
    """Show the form."""
    return _form(visit)


async def begin(visit: Visit) -> Response:
    """Send a PIN if there is an account, else start a decoy: nothing is sent and no PIN is right."""
    account = visit.accounts.of_phone(visit.phone)
    try:
        verification = await visit.otp.verifications.start(
            to=visit.phone,
            purpose=PURPOSE,
            session=visit.session.secret,
            user_ip=visit.user_ip,
            subject=account.id if account else None,
            decoy=account is None,
        )
    except errors.Error as error:
        return _form(visit, messages.of_error(error))
    visit.session.pending[PURPOSE] = Pending(verification, visit.phone)
    return go("/reset/pin")


async def ask_for_password(visit: Visit, _: Pending, check: Check) -> Response:
    """Keep the proof on the server until the new password is there."""
    visit.session.reset_proof = check.proof or ""
    return go("/reset/password")


async def show_password(visit: Visit) -> Response:
    """Show the form for the new password."""
    return _password_form(visit) if visit.session.reset_proof else go("/reset")


async def set_password(visit: Visit) -> Response:
    """Set the password of the account that the proof names, end its sessions and forget its browsers."""
    password = visit.form.get("password", "")
    if len(password) < pages.SHORTEST_PASSWORD:
        return _password_form(visit, f"The password needs at least {pages.SHORTEST_PASSWORD} characters.")
    try:
        redemption = await redeem(visit, PURPOSE, visit.session.reset_proof)
        await visit.otp.devices.revoke_all(subject=redemption.subject or "")
    except errors.Error as error:
        return _form(visit, messages.of_error(error))
    account = visit.accounts.get(redemption.subject)
    if account is None:
        return _form(visit, messages.OTHER)
    account.password_hash = await hash_password(password)
    visit.session.reset_proof = ""
    visit.sessions.end_all(account.id)
    text = "Your new password is set. You are logged out everywhere."
    return visit.show("Log in", pages.notice(text), pages.login(visit.session.csrf, account.phone))


def _form(visit: Visit, problem: str = "") -> Response:
    form = pages.reset(visit.session.csrf, visit.form.get("phone", ""))
    return visit.show(TITLE, pages.alert(problem), form, status=422 if problem else 200)


def _password_form(visit: Visit, problem: str = "") -> Response:
    form = pages.new_password(visit.session.csrf)
    return visit.show(TITLE, pages.alert(problem), form, status=422 if problem else 200)


def _sent_to(pending: Pending) -> str:
    return f"If {pending.phone} has an account, we sent a PIN to it."


STEP = PinStep(PURPOSE, "/reset", "Enter the PIN", _sent_to, ask_for_password)
ROUTES = [
    Route("/reset", visited(show), methods=["GET"]),
    Route("/reset", visited(begin), methods=["POST"]),
    Route("/reset/password", visited(show_password), methods=["GET"]),
    Route("/reset/password", visited(set_password), methods=["POST"]),
    *STEP.routes,
]
