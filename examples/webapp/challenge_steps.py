"""The page of a challenge, which login and changes of factors share: check, another way, another message."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from otp_service_client import Challenge, ChallengeCheck, errors
from starlette.responses import Response
from starlette.routing import Route

from examples.webapp import factor_pages, messages, pages
from examples.webapp.visits import Visit, go, visited

NO_MESSAGE = (
    errors.RateLimited,
    errors.GatewayFailed,
    errors.OptedOut,
    errors.CountryNotAllowed,
    errors.Blocked,
)
"""Errors of a challenge whose factor is a phone that gets no message now."""


async def start_challenge(visit: Visit, subject: str, device: str | None = None) -> tuple[Challenge, str]:
    """Start a challenge; return it and what did not work: without a message, a recovery code or an app passes it."""
    start = partial(
        visit.otp.challenges.start, subject=subject, session=visit.session.secret, user_ip=visit.user_ip, device=device
    )
    try:
        return await start(), ""
    except NO_MESSAGE as error:
        return await start(factor="recovery_code"), messages.of_error(error)


@dataclass(frozen=True)
class ChallengeStep:
    """The page of a challenge. `approved` runs after a right value; `remembers`: the user can skip the next one."""

    name: str
    path: str
    title: str
    start_again: str
    approved: Callable[[Visit, ChallengeCheck], Awaitable[Response]]
    remembers: bool = False

    @property
    def routes(self) -> list[Route]:
        """Return the routes of the page and of its forms."""
        return [
            Route(self.path, visited(self.show), methods=["GET"]),
            Route(self.path, visited(self.check), methods=["POST"]),
            Route(f"{self.path}/recovery", visited(self.show_recovery), methods=["GET"]),
            Route(f"{self.path}/switch", visited(self.switch), methods=["POST"]),
            Route(f"{self.path}/resend", visited(self.resend), methods=["POST"]),
        ]

    def begin(self, visit: Visit, challenge: Challenge, problem: str = "") -> Response:
        """Keep a challenge and go to its page."""
        visit.session.challenges[self.name] = challenge
        return self._page(visit, problem) if problem else go(self.path)

    async def show(self, visit: Visit) -> Response:
        """Show the page."""
        return self._page(visit) if self.name in visit.session.challenges else go(self.start_again)

    async def show_recovery(self, visit: Visit) -> Response:
        """Show the page for somebody who has lost the phone."""
        return self._page(visit, lost=True) if self.name in visit.session.challenges else go(self.start_again)

    async def check(self, visit: Visit) -> Response:
        """Check what the user typed: a PIN, the value of an app or a recovery code."""
        challenge = visit.session.challenges.get(self.name)
        if challenge is None:
            return go(self.start_again)
        lost, remember = "lost" in visit.form, self.remembers and "remember" in visit.form
        what = _what_is_typed(challenge, lost=lost)
        try:
            check = await visit.otp.challenges.check(
                challenge.id, visit.form.get("pin", ""), session=visit.session.secret, remember=remember
            )
            if check.approved:
                visit.session.challenges.pop(self.name, None)
                return await self.approved(visit, check)
        except errors.Error as error:
            return self._page(visit, messages.of_error(error, what), lost=lost)
        if check.challenge.status != "pending":
            visit.session.challenges.pop(self.name, None)  # nothing passes it any more: the page offers a new one
        problem = messages.of_check(check.result, check.challenge.attempts_left, what, check.retry_at)
        return self._page(visit, problem, lost=lost)

    async def switch(self, visit: Visit) -> Response:
        """Use another factor; a phone gets a PIN."""
        return await self._change(visit, lambda known: visit.otp.challenges.switch(known, visit.form.get("factor", "")))

    async def resend(self, visit: Visit) -> Response:
        """Send another message."""
        return await self._change(visit, visit.otp.challenges.resend)

    async def _change(self, visit: Visit, call: Callable[[str], Awaitable[Challenge]]) -> Response:
        challenge = visit.session.challenges.get(self.name)
        if challenge is None:
            return go(self.start_again)
        try:
            return self.begin(visit, await call(challenge.id))
        except errors.Error as error:
            await self._reload(visit, challenge.id)
            return self._page(visit, messages.of_error(error))

    async def _reload(self, visit: Visit, challenge_id: str) -> None:
        """Keep what the challenge is now: if a message cannot be sent, the switch has happened all the same."""
        with suppress(errors.Error):
            visit.session.challenges[self.name] = await visit.otp.challenges.get(challenge_id)

    def _page(self, visit: Visit, problem: str = "", *, lost: bool = False) -> Response:
        challenge, csrf = visit.session.challenges.get(self.name), visit.session.csrf
        if challenge is None:
            again = pages.button_link(self.start_again, "Start again")
            return visit.show(self.title, pages.alert(problem), again, status=422)
        if lost or challenge.factor is None:
            content = factor_pages.recovery(self.path, csrf, challenge)
        else:
            content = factor_pages.challenge(self.path, csrf, challenge, challenge.factor, remembers=self.remembers)
        content += pages.start_again(self.start_again)
        return visit.show(self.title, pages.alert(problem), content, status=422 if problem else 200)


def _what_is_typed(challenge: Challenge, *, lost: bool) -> str:
    if lost or challenge.factor is None:
        return "recovery code"
    return "PIN" if challenge.factor.type == "sms" else "code"
