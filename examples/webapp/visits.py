"""A visit: a request with its session and its form. Each handler gets one."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from markupsafe import Markup
from otp_service_client import AsyncClient
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from examples.webapp import pages
from examples.webapp.accounts import Account, Accounts
from examples.webapp.sessions import Session, Sessions

MOST_BYTES = 8192
DEVICE_SECONDS = 30 * 86400
_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'"
HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Visit:
    """A request with what handlers need."""

    request: Request
    otp: AsyncClient
    accounts: Accounts
    sessions: Sessions
    session: Session
    form: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def user_ip(self) -> str | None:
        """Return the user's address. Behind a proxy, run uvicorn with --proxy-headers."""
        return self.request.client.host if self.request.client else None

    @property
    def account(self) -> Account | None:
        """Return the account that is logged in."""
        return self.accounts.get(self.session.account_id)

    @property
    def phone(self) -> str:
        """Return the number in the form, without what people write between digits."""
        return "".join(each for each in self.form.get("phone", "") if each not in " \u00a0-.()")

    @property
    def device(self) -> str | None:
        """Return the token of a remembered browser."""
        return self.request.cookies.get("device")

    def remember(self, response: Response, device: str) -> None:
        """Keep the token of a remembered browser where scripts cannot read it."""
        secure = self.request.url.scheme == "https"
        response.set_cookie("device", device, max_age=DEVICE_SECONDS, httponly=True, samesite="lax", secure=secure)

    def show(self, title: str, *content: Markup, status: int = 200) -> Response:
        """Return a page."""
        text = pages.page(title, Markup("").join(content), self.request.app.state.inbox)
        return HTMLResponse(text, status, HEADERS)


Handler = Callable[[Visit], Awaitable[Response]]


def visited(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that gives a handler its visit, and checks the CSRF token of every form."""

    async def endpoint(request: Request) -> Response:
        state = request.app.state
        cookie = request.cookies.get("session", "")
        visit = Visit(request, state.otp, state.accounts, state.sessions, state.sessions.find(cookie))
        if request.method == "POST":
            visit.form = await _form(request)
            if not secrets.compare_digest(visit.form.get("csrf", "").encode(), visit.session.csrf.encode()):
                text = "This page was open for too long. Please go back, reload it and try again."
                return visit.show("Out of date", pages.alert(text), status=403)
        response = await handler(visit)
        if visit.session.id != cookie:
            secure = request.url.scheme == "https"
            response.set_cookie("session", visit.session.id, httponly=True, samesite="lax", secure=secure)
        return response

    return endpoint


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form; none if it is too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def go(path: str) -> Response:
    """Return a redirect, so that a reload sends no form again."""
    return RedirectResponse(path, 303, HEADERS)
