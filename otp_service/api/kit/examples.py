"""Examples for the OpenAPI document: of the bodies that its schemas describe, and of errors."""

from typing import Any

from otp_service.api.kit.bodies import MOST_BYTES
from otp_service.api.kit.problems import STATUS, problem_body
from otp_service.errors import ErrorCode, FieldError, Quota, Refusal, not_found

IDS = {
    "verifications": "ver_yv7Hwn2_KRajpZPRUXK21g",
    "notifications": "ntf_2b0mOTmxxSbmIkpYjp8dAw",
    "webhooks": "whk_Dqk2vX1mR8aJc0tYw7LzPg",
    "factors": "fac_5hRtWq9cXn2LdVbYs0KzJg",
    "challenges": "chl_8sPmQv3xTf6HwBnRc1YkLw",
    "devices": "dev_1nGdSx7yUj4FbMpZk9VtQw",
}
"""An id under each `/v1/{noun}`."""

_DETAILS: dict[ErrorCode, str] = {
    "malformed": "The body is not valid JSON, or has a duplicate key.",
    "unauthorized": "No valid API key; send one as `Authorization: Bearer ...`.",
    "blocked": "The message was not sent. The operator can look up the decision.",
    "country_not_allowed": "This country is not served.",
    "opted_out": "This number has opted out, so nothing was sent.",
    "mismatch": "session, to or purpose differs from the start, or session is missing. No attempt was used.",
    "not_pending": "The verification has ended. Start a new one.",
    "no_sends_left": "No sends left. Start a new verification after this one has expired.",
    "user_opted_out": "The user texted STOP. Only the user, by texting START, or an operator can remove this opt-out.",
    "proof_needed": "Let the user pass a new challenge, and send its proof as X-Proof or `proof`. A proof works once.",
    "too_many_factors": "The subject has 10 factors; remove one first.",
    "no_factor": "The subject has no active factor.",
    "not_sms": "Only a challenge of an SMS factor sends messages.",
    "too_many_webhooks": "A client has at most 10 webhooks; delete one first.",
    "webhook_disabled": "The webhook is disabled. Fix the receiver, then POST .../test: success enables the webhook.",
    "already_redeemed": "The proof was redeemed before. Start a new verification.",
    "idempotency_in_progress": "A request with this Idempotency-Key is still running. Retry later.",
    "too_large": f"The body must have at most {MOST_BYTES} bytes.",
    "unsupported_media_type": "Send application/json in UTF-8, uncompressed.",
    "invalid": "Invalid fields; see `errors`.",
    "invalid_number": "Write the number in E.164: `+`, the country calling code and the number, digits only.",
    "invalid_proof": "Not a proof that this client can redeem, or it has expired. Start a new verification.",
    "idempotency_mismatch": "This Idempotency-Key was used for another request. Use a new one.",
    "rate_limited": "Limit sends_per_number reached. Retry in 30 seconds.",
    "gateway_failed": (
        "No route could send the message; nothing was sent. Retry in a minute; if it continues, run "
        "`otp-service doctor`."
    ),
    "overloaded": "Too many requests; retry later.",
    "unavailable": "The database is unavailable; retry after Retry-After.",
}
_DETAILS_OF_A_CALL: dict[tuple[str, ErrorCode], str] = {
    ("verifications.cancel", "not_pending"): "The verification has ended and cannot be canceled.",
    ("proofs.redeem", "mismatch"): (
        "session or purpose differs from the start, or session is missing. The proof was not redeemed."
    ),
    ("public.show_metrics", "unauthorized"): "Send OTP_METRICS_TOKEN as bearer token, or call from loopback.",
}

_CHANGES_OF_AN_ANSWER: dict[tuple[str, int], dict[str, Any]] = {
    ("verifications.resend", 200): {"sends_left": 1, "resend_at": "2026-11-23T15:45:24.398Z"},
    ("verifications.cancel", 200): {"status": "canceled", "reason": "requested", "resend_at": None},
    ("notifications.read", 200): {"status": "sent", "sent_at": "2026-11-23T15:43:24.642Z", "route": "mt"},
    ("opt_outs.remove", 200): {"opted_out": False, "source": None, "since": None},
    ("public.readyz", 503): {"status": "unavailable", "database": "unavailable", "schema": "unknown"},
}
"""What differs from the example of the schema, by call and status."""


def of_answer(operation_id: str, status: int, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return the example of an answer of a call."""
    return of_schema(schema, schemas) | _CHANGES_OF_AN_ANSWER.get((operation_id, status), {})


def of_schema(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return the first example of a schema, or one made of the examples of its required fields. Null if it has none."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return of_schema(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [of_schema(schema["items"], schemas)]
    if "properties" in schema:
        return {name: of_schema(schema["properties"][name], schemas) for name in schema.get("required", [])}
    return None


def of_error(code: ErrorCode, operation_id: str, noun: str) -> dict[str, Any]:
    """Return the body of an error of a call. `noun`: what the call is about."""
    if code == "not_found":
        return problem_body(not_found(noun))
    refusal = Refusal(code, _DETAILS_OF_A_CALL.get((operation_id, code), _DETAILS[code]))
    if code == "rate_limited":
        refusal.quota = Quota("sends_per_number", 5, 3600.0, 0, 30.0)
    if code == "invalid_number":
        refusal.errors = [FieldError("to", refusal.detail)]
    if code == "invalid":
        refusal.errors = [FieldError("sms", "Unknown field.")]
    if STATUS[code] == 502:
        refusal.verification_id = IDS["verifications"]
    return problem_body(refusal)
