"""The calls of the API, from which Starlette's routes and the OpenAPI document are built."""

from collections.abc import Awaitable, Callable

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api import callbacks, notifications, opt_outs, proofs, public, search, verifications, webhooks
from otp_service.api.factors import challenges, devices, factors, recovery_codes, subjects
from otp_service.api.factors.challenges import (
    ChallengeAnswer,
    ChallengeBody,
    ChallengeCheckAnswer,
    ChallengeCheckBody,
    SwitchBody,
)
from otp_service.api.factors.devices import DevicesAnswer
from otp_service.api.factors.factors import (
    ChangeFactorBody,
    FactorAnswer,
    FactorBody,
    FactorsAnswer,
    NewFactorAnswer,
    ProofBody,
    SubjectQuery,
    VerifyFactorAnswer,
    VerifyFactorBody,
)
from otp_service.api.factors.recovery_codes import NewRecoveryCodesAnswer, RecoveryCodesBody
from otp_service.api.factors.subjects import SubjectAnswer
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

_SENDING: tuple[ErrorCode, ...] = ("blocked", "opted_out", "rate_limited", "gateway_failed")
_VERIFICATIONS = "/v1/verifications"
_VERIFICATION = "/v1/verifications/{id}"
_FACTORS = "/v1/factors"
_FACTOR = "/v1/factors/{id}"
_CHALLENGES = "/v1/challenges"
_CHALLENGE = "/v1/challenges/{id}"
_HOOKS = "/v1/webhooks"
_HOOK = "/v1/webhooks/{id}"

_WITH_KEY = (
    Operation(
        "POST",
        _VERIFICATIONS,
        verifications.create,
        StartBody,
        {201: VerificationAnswer, 200: VerificationAnswer},
        ("invalid_number", "country_not_allowed", *_SENDING),
        has_limit_headers=True,
    ),
    Operation("POST", f"{_VERIFICATIONS}/search", search.find, SearchBody, {200: SearchAnswer}, ("invalid_number",)),
    Operation("GET", _VERIFICATION, verifications.read, None, {200: VerificationAnswer}, ("not_found",)),
    Operation(
        "POST",
        f"{_VERIFICATION}/checks",
        verifications.check,
        CheckBody,
        {200: CheckAnswer},
        ("not_found", "invalid_number", "mismatch"),
    ),
    Operation(
        "POST",
        f"{_VERIFICATION}/resends",
        verifications.resend,
        None,
        {200: VerificationAnswer},
        ("not_found", "not_pending", "no_sends_left", *_SENDING),
        has_limit_headers=True,
    ),
    Operation(
        "POST",
        f"{_VERIFICATION}/cancel",
        verifications.cancel,
        None,
        {200: VerificationAnswer},
        ("not_found", "not_pending"),
    ),
    Operation("GET", f"{_VERIFICATION}/events", verifications.events, None, {200: EventsAnswer}, ("not_found",)),
    Operation(
        "POST",
        _FACTORS,
        factors.create,
        FactorBody,
        {201: NewFactorAnswer},
        ("proof_needed", "too_many_factors", "invalid_proof", "mismatch", "already_redeemed"),
        takes_proof=True,
    ),
    Operation("GET", _FACTORS, factors.list_all, None, {200: FactorsAnswer}, query=SubjectQuery),
    Operation(
        "POST",
        f"{_FACTORS}/recovery-codes",
        recovery_codes.replace,
        RecoveryCodesBody,
        {201: NewRecoveryCodesAnswer},
        ("no_factor", "proof_needed"),
        takes_proof=True,
    ),
    Operation("GET", _FACTOR, factors.read, None, {200: FactorAnswer}, ("not_found",)),
    Operation("POST", _FACTOR, factors.change, ChangeFactorBody, {200: FactorAnswer}, ("not_found",)),
    Operation("POST", f"{_FACTOR}/verify", factors.verify, VerifyFactorBody, {200: VerifyFactorAnswer}, ("not_found",)),
    Operation(
        "DELETE", _FACTOR, factors.remove, ProofBody, {204: None}, ("not_found", "proof_needed"), takes_proof=True
    ),
    Operation("GET", "/v1/devices", devices.list_all, None, {200: DevicesAnswer}, query=SubjectQuery),
    Operation("DELETE", "/v1/devices", devices.revoke_all, None, {204: None}, query=SubjectQuery),
    Operation("DELETE", "/v1/devices/{id}", devices.revoke, None, {204: None}, ("not_found",)),
    Operation("GET", "/v1/subjects/{subject}", subjects.export, None, {200: SubjectAnswer}),
    Operation("DELETE", "/v1/subjects/{subject}", subjects.erase, None, {204: None}),
    Operation(
        "POST",
        _CHALLENGES,
        challenges.create,
        ChallengeBody,
        {201: ChallengeAnswer, 200: ChallengeAnswer},
        ("no_factor", "country_not_allowed", *_SENDING),
        has_limit_headers=True,
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
        has_limit_headers=True,
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

ALIASES = (Operation("POST", f"{_FACTOR}/activate", factors.verify, VerifyFactorBody, {200: VerifyFactorAnswer}),)
"""Other names of calls, which the OpenAPI document does not list."""
