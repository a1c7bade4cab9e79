"""Sign-up: the number is verified before the account is made."""

from otp_service_client import Check, errors
from starlette.responses import Response
from starlette.routing import Route

from examples.webapp import messages, pages
from examples.webapp.accounts import hash_password
from examples.webapp.pin_steps import PinStep, redeem
from examples.webapp.sessions import Pending
from examples.webapp.visits import Visit, go, visited

TITLE = "Create an account"


async def show(visit: Visit) -> Response:
    """Show the form."""
    return _form(visit)


async def begin(visit: Visit) -> Response:
    """Send a PIN, also to a number that has an account: only its owner learns that."""
    password = visit.form.get("password", "")
    if len(password) < pages.SHORTEST_PASSWORD:
        return _form(visit, f"The password needs at least {pages.SHORTEST_PASSWORD} characters.")
    try:
        verification = await visit.otp.verifications.start(
            to=visit.phone, purpose="signup", session=visit.session.secret, user_ip=visit.user_ip
        )
    except errors.Error as error:
        return _form(visit, messages.of_error(error))
    visit.session.pending["signup"] = Pending(verification, visit.phone, await hash_password(password))
    return go("/signup/pin")


async def finish(visit: Visit, pending: Pending, check: Check) -> Response:
    """Make the account of the number that the proof names."""
    to = (await redeem(visit, "signup", check.proof)).to
    if to is None:
        raise ValueError("The proof of a sign-up names the number.")
    if visit.accounts.of_phone(to):
        text = "This number already has an account. Log in, or set a new password."
        return visit.show("Log in", pages.notice(text), pages.login(visit.session.csrf, to))
    account = visit.accounts.add(to, pending.password_hash)
    visit.session = visit.sessions.log_in(visit.session, account.id)
    return go("/")


def _form(visit: Visit, problem: str = "") -> Response:
    form = pages.signup(visit.session.csrf, visit.form.get("phone", ""))
    return visit.show(TITLE, pages.alert(problem), form, status=422 if problem else 200)


STEP = PinStep("signup", "/signup", "Enter the PIN", lambda pending: f"We sent a PIN to {pending.phone}.", finish)
ROUTES = [
    Route("/signup", visited(show), methods=["GET"]),
    Route("/signup", visited(begin), methods=["POST"]),
    *STEP.routes,
]
