"""The page with the PIN, which sign-up, login and reset share: check, resend, countdown."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from otp_service_client import Check, Redemption, errors
from starlette.responses import Response
from starlette.routing import Route

from examples.webapp import messages, pages
from examples.webapp.sessions import Pending
from examples.webapp.visits import Visit, go, visited


@dataclass(frozen=True)
class PinStep:
    """The PIN page of one purpose. `approved` runs after a right PIN."""

    purpose: str
    path: str
    title: str
    sent_to: Callable[[Pending], str]
    approved: Callable[[Visit, Pending, Check], Awaitable[Response]]

    @property
    def routes(self) -> list[Route]:
        """Return the routes of the page and of its two forms."""
        return [
            Route(f"{self.path}/pin", visited(self.show), methods=["GET"]),
            Route(f"{self.path}/pin", visited(self.check), methods=["POST"]),
            Route(f"{self.path}/resend", visited(self.resend), methods=["POST"]),
        ]

    async def show(self, visit: Visit) -> Response:
        """Show the page."""
        return self._page(visit) if self.purpose in visit.session.pending else go(self.path)

    async def check(self, visit: Visit) -> Response:
        """Check the PIN."""
        pending = visit.session.pending.get(self.purpose)
        if pending is None:
            return go(self.path)
        try:
            check = await visit.otp.verifications.check(
                pending.verification.id, visit.form.get("pin", ""), session=visit.session.secret
            )
            if check.approved:
                visit.session.pending.pop(self.purpose, None)
                return await self.approved(visit, pending, check)
        except errors.Error as error:
            return self._page(visit, messages.of_error(error))
        problem = messages.of_check(check.result, check.verification.attempts_left, retry_at=check.retry_at)
        return self._page(visit, problem)

    async def resend(self, visit: Visit) -> Response:
        """Send another message."""
        pending = visit.session.pending.get(self.purpose)
        if pending is None:
            return go(self.path)
        try:
            verification = await visit.otp.verifications.resend(pending.verification.id)
        except errors.Error as error:
            return self._page(visit, messages.of_error(error))
        visit.session.pending[self.purpose] = replace(pending, verification=verification)
        return go(f"{self.path}/pin")

    def _page(self, visit: Visit, problem: str = "") -> Response:
        pending = visit.session.pending.get(self.purpose)
        if pending is None:
            return visit.show(self.title, pages.alert(problem), pages.start_again(self.path), status=422)
        form = pages.pin(self.path, visit.session.csrf, self.sent_to(pending), pending)
        return visit.show(self.title, pages.alert(problem), form, status=422 if problem else 200)


async def redeem(visit: Visit, purpose: str, proof: str | None) -> Redemption:
    """Redeem a proof, once, before anything is changed: it is of this person, this purpose and this session."""
    return await visit.otp.proofs.redeem(proof or "", purpose=purpose, session=visit.session.secret)
