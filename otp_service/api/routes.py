"""The table of routes, from which Starlette's routes and the OpenAPI document are built."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from otp_service.api import (
    callbacks,
    challenges,
    notifications,
    opt_outs,
    proofs,
    public,
    search,
    verifications,
    webhooks,
)
from otp_service.api.challenges import (
    ChallengeAnswer,
    ChallengeBody,
    ChallengeCheckAnswer,
    ChallengeCheckBody,
    SwitchBody,
)
from otp_service.api.kit.operation import Operation
from otp_service.api.notifications import NotificationAnswer, NotifyBody
from otp_service.api.opt_outs import NumberBody, OptOutAnswer, OptOutLookupAnswer
from otp_service.api.proofs import KeysAnswer, RedeemBody, RedeemedAnswer
from otp_service.api.public import AliveAnswer, DocumentAnswer, ReadyAnswer
from otp_service.api.search import SearchAnswer, SearchBody
from otp_service.api.twilio import verify
from otp_service.api.verifications import CheckAnswer, CheckBody, EventsAnswer, StartBody, VerificationAnswer
from otp_service.api.webhooks import (
    NewWebhookAnswer,
    WebhookAnswer,
    WebhookBody,
    WebhookDeliveriesAnswer,
    WebhookDeliveryAnswer,
    WebhooksAnswer,
    WebhookSecretAnswer,
    WebhookTestAnswer,
)
from otp_service.errors import ErrorCode

_SENDING: tuple[ErrorCode, ...] = ("opted_out", "rate_limited", "gateway_failed")
_ALL = "/v1/verifications"
_ONE = "/v1/verifications/{id}"
_CHALLENGES = "/v1/challenges"
_CHALLENGE = "/v1/challenges/{id}"
_HOOKS = "/v1/webhooks"
_HOOK = "/v1/webhooks/{id}"

_WITH_KEY = (
    Operation(
        "POST",
        _ALL,
        verifications.create,
        StartBody,
        {201: VerificationAnswer, 200: VerificationAnswer},
        ("invalid_number", "country_not_allowed", *_SENDING),
        tells_what_is_left=True,
    ),
    Operation("POST", f"{_ALL}/search", search.find, SearchBody, {200: SearchAnswer}, ("invalid_number",)),
    Operation("GET", _ONE, verifications.read, None, {200: VerificationAnswer}, ("not_found",)),
    Operation(
        "POST",
        f"{_ONE}/checks",
        verifications.check,
        CheckBody,
        {200: CheckAnswer},
        ("not_found", "invalid_number", "mismatch"),
    ),
    Operation(
        "POST",
        f"{_ONE}/resends",
        verifications.resend,
        None,
        {200: VerificationAnswer},
        ("not_found", "not_pending", "no_sends_left", *_SENDING),
        tells_what_is_left=True,
    ),
    Operation(
        "POST", f"{_ONE}/cancel", verifications.cancel, None, {200: VerificationAnswer}, ("not_found", "not_pending")
    ),
    Operation("GET", f"{_ONE}/events", verifications.events, None, {200: EventsAnswer}, ("not_found",)),
    Operation(
        "POST",
        _CHALLENGES,
        challenges.create,
        ChallengeBody,
        {201: ChallengeAnswer, 200: ChallengeAnswer},
        ("no_factor", "country_not_allowed", *_SENDING),
        tells_what_is_left=True,
    ),
    Operation("GET", _CHALLENGE, challenges.read, None, {200: ChallengeAnswer}, ("not_found",)),
    Operation(
        "POST",
        f"{_CHALLENGE}/checks",
        challenges.check,
        ChallengeCheckBody,
        {200: ChallengeCheckAnswer},
        ("not_found", "mismatch"),
    ),
    Operation(
        "POST",
        f"{_CHALLENGE}/resends",
        challenges.resend,
        None,
        {200: ChallengeAnswer},
        ("not_found", "not_sms", "not_pending", "no_sends_left", *_SENDING),
        tells_what_is_left=True,
    ),
    Operation(
        "POST",
        f"{_CHALLENGE}/switch",
        challenges.switch,
        SwitchBody,
        {200: ChallengeAnswer},
        ("not_found", "no_factor", "not_pending", "no_sends_left", "country_not_allowed", *_SENDING),
    ),
    Operation(
        "POST", f"{_CHALLENGE}/cancel", challenges.cancel, None, {200: ChallengeAnswer}, ("not_found", "not_pending")
    ),
    Operation("GET", f"{_CHALLENGE}/events", challenges.events, None, {200: EventsAnswer}, ("not_found",)),
    Operation(
        "POST",
        "/v1/proofs/redeem",
        proofs.redeem,
        RedeemBody,
        {200: RedeemedAnswer},
        ("invalid_proof", "mismatch", "already_redeemed"),
    ),
    Operation(
        "POST",
        "/v1/notifications",
        notifications.create,
        NotifyBody,
        {202: NotificationAnswer},
        ("invalid_number", "country_not_allowed", "opted_out", "rate_limited"),
    ),
    Operation("POST", "/v1/opt-outs", opt_outs.add, NumberBody, {200: OptOutAnswer}, ("invalid_number",)),
    Operation(
        "POST", "/v1/opt-outs/lookup", opt_outs.look_up, NumberBody, {200: OptOutLookupAnswer}, ("invalid_number",)
    ),
    Operation(
        "POST",
        "/v1/opt-outs/remove",
        opt_outs.remove,
        NumberBody,
        {200: OptOutAnswer},
        ("invalid_number", "user_opted_out"),
    ),
    Operation("POST", _HOOKS, webhooks.create, WebhookBody, {201: NewWebhookAnswer}, ("too_many_webhooks",)),
    Operation("GET", _HOOKS, webhooks.list_all, None, {200: WebhooksAnswer}),
    Operation("GET", _HOOK, webhooks.read, None, {200: WebhookAnswer}, ("not_found",)),
    Operation("DELETE", _HOOK, webhooks.delete, None, {204: None}, ("not_found",)),
    Operation("POST", f"{_HOOK}/test", webhooks.test, None, {200: WebhookTestAnswer}, ("not_found",)),
    Operation("POST", f"{_HOOK}/secret", webhooks.replace_secret, None, {200: WebhookSecretAnswer}, ("not_found",)),
    Operation("GET", f"{_HOOK}/deliveries", webhooks.deliveries, None, {200: WebhookDeliveriesAnswer}, ("not_found",)),
    Operation(
        "POST",
        f"{_HOOK}/deliveries/{{delivery_id}}/replay",
        webhooks.replay,
        None,
        {202: WebhookDeliveryAnswer},
        ("not_found", "webhook_disabled"),
    ),
    Operation("GET", "/v1/notifications/{id}", notifications.read, None, {200: NotificationAnswer}, ("not_found",)),
)


def _open(
    path: str,
    handler: Callable[[Request], Awaitable[Response]],
    answers: dict[int, type[BaseModel] | str],
    *refusals: ErrorCode,
) -> Operation:
    return Operation("GET", path, handler, None, answers, refusals, needs_api_key=False)


_WITHOUT_KEY = (
    _open("/livez", public.livez, {200: AliveAnswer}),
    _open("/readyz", public.readyz, {200: ReadyAnswer, 503: ReadyAnswer}),
    _open("/metrics", public.show_metrics, {200: "text/plain"}, "unauthorized"),
    _open("/openapi.json", public.show_openapi, {200: DocumentAnswer}),
    _open("/docs", public.show_docs, {200: "text/html"}),
    _open("/.well-known/jwks.json", proofs.jwks, {200: KeysAnswer}),
)

OPERATIONS = _WITH_KEY + _WITHOUT_KEY
"""The documented calls, of applications and monitors."""

CALLBACKS = (
    Operation(
        "POST", "/gateway/ogangi/{callback_token}", callbacks.receive, None, {200: "text/plain"}, needs_api_key=False
    ),
)
"""The calls of the gateway."""


def _of_twilio(method: str, path: str, handler: Callable[[Request], Awaitable[Response]]) -> Operation:
    return Operation(method, f"/v2/Services/{{service_sid}}{path}", handler, None, {})


TWILIO = (
    _of_twilio("POST", "/Verifications", verify.create),
    _of_twilio("GET", "/Verifications/{sid}", verify.fetch),
    _of_twilio("POST", "/Verifications/{sid}", verify.update),
    _of_twilio("POST", "/VerificationCheck", verify.check),
    _of_twilio("GET", "", verify.fetch_service),
)
"""The calls of Twilio's libraries. Twilio describes them, so the OpenAPI document does not."""

_WITHOUT_ID = frozenset(each.path for each in OPERATIONS if "{" not in each.path)


class _ExactRoute(Route):
    """A route that matches the whole path: `$` also matches before a trailing newline.

    `allowed`: the methods of all routes of the path, for the refusal of another one.
    """

    def __init__(self, *args: Any, allowed: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._allowed = [*allowed]
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Leave the path of another call to that one: `search` is no id."""
        if self.param_convertors and scope["path"] in _WITHOUT_ID:
            return Match.NONE, {}
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. Raises HTTPException if no route of the path has its method."""
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(405, headers={"Allow": ", ".join(self._allowed)})
        await self.app(scope, receive, send)


class _HiddenRoute(_ExactRoute):
    """A route that answers other methods with 404: a 405 would reveal that it exists."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return (match, found) if match is Match.FULL else (Match.NONE, {})


def routes() -> list[Route]:
    """Return Starlette's routes, one per call."""
    allowed: dict[str, list[str]] = {"/": ["GET", "HEAD"]}
    for each in OPERATIONS + TWILIO:
        allowed.setdefault(each.path, []).extend(["GET", "HEAD"] if each.method == "GET" else [each.method])
    shown: list[Route] = [
        _ExactRoute(each.path, each.handler, methods=[each.method], allowed=allowed[each.path])
        for each in OPERATIONS + TWILIO
    ]
    home = _ExactRoute("/", public.home, methods=["GET"], allowed=allowed["/"])
    return [home, *shown, *(_HiddenRoute(each.path, each.handler, methods=[each.method]) for each in CALLBACKS)]
