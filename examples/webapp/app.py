"""The application: its routes and what they share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from otp_service_client import AsyncClient
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from examples.webapp import login, pages, reset, security, signup
from examples.webapp.accounts import Accounts
from examples.webapp.sessions import Sessions
from examples.webapp.visits import Visit, visited


async def home(visit: Visit) -> Response:
    """Show the account, or the ways to get one."""
    if visit.account is None:
        return visit.show("Welcome", pages.home())
    return visit.show("You are logged in", pages.account(visit.account.phone, visit.session.csrf))


def create_app(otp: AsyncClient, inbox: str = "") -> Starlette:
    """Return the application. `inbox`: where a demo shows its messages."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with otp:
            yield

    routes = [
        Route("/", visited(home), methods=["GET"]),
        *signup.ROUTES,
        *login.ROUTES,
        *reset.ROUTES,
        *security.ROUTES,
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.otp = otp
    app.state.accounts = Accounts()
    app.state.sessions = Sessions()
    app.state.inbox = inbox
    return app
