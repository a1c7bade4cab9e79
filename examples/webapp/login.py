"""Login: the password first, then a challenge of a second factor, or a PIN to the number of the account."""

from otp_service_client import ChallengeCheck, Check, errors
from starlette.responses import Response
from starlette.routing import Route

from examples.webapp import messages, pages
from examples.webapp.accounts import Account
from examples.webapp.challenge_steps import ChallengeStep, start_challenge
from examples.webapp.pin_steps import PinStep, redeem
from examples.webapp.sessions import Pending
from examples.webapp.visits import Visit, go, visited


async def show(visit: Visit) -> Response:
    """Show the form."""
    return _form(visit)


async def begin(visit: Visit) -> Response:
    """Start a challenge after the right password. A remembered browser passes it at once."""
    account = await visit.accounts.log_in(visit.phone, visit.form.get("password", ""))
    if account is None:
        return _form(visit, "The number or the password is wrong.")
    try:
        challenge, problem = await start_challenge(visit, account.id, visit.device)
        if challenge.approved:
            return await _log_in(visit, challenge.proof)
        return CHALLENGE.begin(visit, challenge, problem)
    except errors.NoFactor:
        return await _send_pin(visit, account)
    except errors.Error as error:
        return _form(visit, messages.of_error(error))


async def _send_pin(visit: Visit, account: Account) -> Response:
    """Send a PIN to the number of an account that has no second factor."""
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
    """Log the user in after a PIN to the number."""
    return await _log_in(visit, check.proof)


async def finish_challenge(visit: Visit, check: ChallengeCheck) -> Response:
    """Log the user in after a challenge, and remember the browser if the user wants that."""
    if "lost" in visit.form:
        return _log_in_with_code(visit, check)
    response = await _log_in(visit, check.proof)
    if check.device is not None:
        visit.remember(response, check.device)
    return response


async def _log_in(visit: Visit, proof: str | None) -> Response:
    """Log the user in whom the proof names."""
    redemption = await redeem(visit, "login", proof)
    account = visit.accounts.get(redemption.subject)
    if account is None:
        return _form(visit, messages.OTHER)
    visit.session = visit.sessions.log_in(visit.session, account.id)
    return go("/")


def _log_in_with_code(visit: Visit, check: ChallengeCheck) -> Response:
    """Log the user in who has lost the phone. The proof is not redeemed here: it permits one change, the new phone."""
    account = visit.accounts.get(check.challenge.subject)
    if account is None:
        return _form(visit, messages.OTHER)
    visit.session = visit.sessions.log_in(visit.session, account.id)
    visit.session.keep_proof(check.proof)
    visit.session.notice = "You used a recovery code. Add your new phone or app now, then remove what you lost."
    return go("/security")


async def log_out(visit: Visit) -> Response:
    """End the session."""
    visit.sessions.end(visit.session)
    return go("/")


def _form(visit: Visit, problem: str = "") -> Response:
    form = pages.login(visit.session.csrf, visit.form.get("phone", ""))
    return visit.show("Log in", pages.alert(problem), form, status=422 if problem else 200)


def _sent_to(pending: Pending) -> str:
    return f"We sent a PIN to your number that ends in {pending.phone[-2:]}."


CHALLENGE = ChallengeStep("login", "/login/challenge", "One more step", "/login", finish_challenge, remembers=True)
STEP = PinStep("login", "/login", "Enter the PIN", _sent_to, finish)
ROUTES = [
    Route("/login", visited(show), methods=["GET"]),
    Route("/login", visited(begin), methods=["POST"]),
    Route("/logout", visited(log_out), methods=["POST"]),
    *STEP.routes,
    *CHALLENGE.routes,
]
