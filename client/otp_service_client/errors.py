"""The errors of the client: `Error`, and a subclass for each `code` of the service.

`Unreachable` and `InvalidSignature` come from the client itself; all others are refusals of the service.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """A wrong field of a request and what is wrong with it, without its value."""

    field: str
    detail: str


class Error(Exception):
    """A call that failed. A code that this version does not know is raised as this class."""

    code: str = "unknown"
    """Stable; from the table of errors in the service's documentation."""
    by_code: ClassVar[dict[str, type["Error"]]] = {}

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        limit: str | None = None,
        errors: tuple[FieldError, ...] = (),
        verification_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        """What is wrong and what to do; for developers and operators, not for users."""
        self.code = code or self.code
        self.status = status
        """The HTTP status; None without a response."""
        self.request_id = request_id
        """The `X-Request-Id` of the response, which is also in the service's log."""
        self.retry_after = retry_after
        """Seconds to wait before another try."""
        self.limit = limit
        """The limit that was reached."""
        self.errors = errors
        """The wrong fields of `invalid`."""
        self.verification_id = verification_id
        """The failed verification of `gateway_failed`."""

    def __init_subclass__(cls) -> None:
        Error.by_code[cls.code] = cls

    def __str__(self) -> str:
        wrong = "".join(f" {each.field}: {each.detail}" for each in self.errors)
        return f"{self.code}: {self.detail}{wrong}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class Unreachable(Error):
    """There was no connection or no answer; the request may have been carried out."""

    code = "unreachable"


class InvalidSignature(Error):
    """A webhook was not signed with this secret, or is too old."""

    code = "invalid_signature"


class Malformed(Error):
    """The body is not JSON, or is incomplete."""

    code = "malformed"


class Unauthorized(Error):
    """The API key is absent, wrong or revoked."""

    code = "unauthorized"


class CountryNotAllowed(Error):
    """The service sends no messages to the country of the number."""

    code = "country_not_allowed"


class OptedOut(Error):
    """The number wants no messages."""

    code = "opted_out"


class Blocked(Error):
    """The service suspects SMS pumping and sends nothing."""

    code = "blocked"


class NotFound(Error):
    """This client has nothing with this id."""

    code = "not_found"


class MethodNotAllowed(Error):
    """The path has other methods."""

    code = "method_not_allowed"


class Mismatch(Error):
    """`session`, `to` or `purpose` differs from the start."""

    code = "mismatch"


class NotPending(Error):
    """The verification has ended."""

    code = "not_pending"


class NoSendsLeft(Error):
    """All messages of the verification were used."""

    code = "no_sends_left"


class UserOptedOut(Error):
    """The user texted STOP; no application can remove this opt-out."""

    code = "user_opted_out"


class AlreadyRedeemed(Error):
    """The proof was redeemed before."""

    code = "already_redeemed"


class IdempotencyInProgress(Error):
    """The first request with this `Idempotency-Key` is still running."""

    code = "idempotency_in_progress"


class IdempotencyMismatch(Error):
    """The `Idempotency-Key` was used for another request."""

    code = "idempotency_mismatch"


class ProofNeeded(Error):
    """The change of second factors needs the proof of a challenge that the user has just passed."""

    code = "proof_needed"


class TooManyFactors(Error):
    """The user has as many second factors as a user can have."""

    code = "too_many_factors"


class NoFactor(Error):
    """The user has no active second factor, or not this one."""

    code = "no_factor"


class NotSms(Error):
    """The challenge sends no messages, because its factor is not a phone."""

    code = "not_sms"


class TooManyWebhooks(Error):
    """The client has as many webhooks as it can have."""

    code = "too_many_webhooks"


class WebhookDisabled(Error):
    """The webhook was disabled, because its address did not accept events."""

    code = "webhook_disabled"


class TooLarge(Error):
    """The body is too large."""

    code = "too_large"


class UnsupportedMediaType(Error):
    """The body is not JSON in UTF-8."""

    code = "unsupported_media_type"


class Invalid(Error):
    """`errors` names each wrong field. If it is `pin`, ask the user again."""

    code = "invalid"


class InvalidNumber(Error):
    """This is not a phone number, or not one that can receive SMS."""

    code = "invalid_number"


class InvalidProof(Error):
    """The proof is not from this service, not for this client, altered, replaced or too old."""

    code = "invalid_proof"


class RateLimited(Error):
    """A limit was reached: `limit` names it, `retry_after` has the seconds to wait."""

    code = "rate_limited"


class Internal(Error):
    """The service failed; its log has details under `request_id`."""

    code = "internal"


class GatewayFailed(Error):
    """No route could send the message; nothing was sent. Try again later, and alert an operator if it continues."""

    code = "gateway_failed"


class Overloaded(Error):
    """The service has too many requests at once."""

    code = "overloaded"


class Unavailable(Error):
    """The service's database is unavailable."""

    code = "unavailable"
