"""Login: the password first, then a PIN to the number of the account."""

from otp_service_client import Check, errors
from starlette.responses import Response
from starlette.routing import Route

from examples.webapp import messages, pages
from examples.webapp.pin_steps import PinStep, redeem
from examples.webapp.sessions import Pending
from examples.webapp.visits import Visit, go, visited


async def show(visit: Visit) -> Response:
    """Show the form."""
    return _form(visit)


async def begin(visit: Visit) -> Response:
    """Send a PIN after the right password, to the number of the account."""
    account = await visit.accounts.log_in(visit.phone, visit.form.get("password", ""))
    if account is None:
        return _form(visit, "The number or the password is wrong.")
    try:
        verification = await visit.otp.verifications.start(
            to=account.phone,
            purpose="login",
            session=visit.session.secret,
            user_ip=visit.user_ip,
            subject=account.id,
        )
    except errors.Error as error:
        return _form(visit, messages.of_error(error))
    visit.session.pending["login"] = Pending(verification, account.phone)
    return go("/login/pin")


async def finish(visit: Visit, _: Pending, check: Check) -> Response:
    """Log the user in whom the proof names."""
    redemption = await redeem(visit, "login", check.proof)
    account = visit.accounts.get(redemption.subject)
    if account is None:
        return _form(visit, messages.OTHER)
    visit.session = visit.sessions.log_in(visit.session, account.id)
    return go("/")


async def log_out(visit: Visit) -> Response:
    """End the session."""
    visit.sessions.end(visit.session)
    return go("/")


def _form(visit: Visit, problem: str = "") -> Response:
    form = pages.login(visit.session.csrf, visit.form.get("phone", ""))
    return visit.show("Log in", pages.alert(problem), form, status=422 if problem else 200)


def _sent_to(pending: Pending) -> str:
    return f"We sent a PIN to your number that ends in {pending.phone[-2:]}."


STEP = PinStep("login", "/login", "Enter the PIN", _sent_to, finish)
ROUTES = [
    Route("/login", visited(show), methods=["GET"]),
    Route("/login", visited(begin), methods=["POST"]),
    Route("/logout", visited(log_out), methods=["POST"]),
    *STEP.routes,
]
