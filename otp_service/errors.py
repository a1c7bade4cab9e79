"""The errors of the project.

OtpError
├── SettingsError       the service cannot start; lists every problem
├── Refusal             a rejected request; the response is a problem document, its `code` is stable
└── Unavailable         the database cannot be reached or did not answer in time
"""

from dataclasses import dataclass, field
from typing import Literal, TypeVar

from typing_extensions import TypeAliasType

T = TypeVar("T")

ErrorCode = TypeAliasType(
    "ErrorCode",
    Literal[
        "malformed",
        "unauthorized",
        "blocked",
        "country_not_allowed",
        "opted_out",
        "proof_needed",
        "not_found",
        "method_not_allowed",
        "mismatch",
        "not_pending",
        "no_sends_left",
        "user_opted_out",
        "too_many_webhooks",
        "too_many_factors",
        "no_factor",
        "not_sms",
        "webhook_disabled",
        "already_redeemed",
        "idempotency_in_progress",
        "too_large",
        "unsupported_media_type",
        "invalid",
        "invalid_number",
        "invalid_proof",
        "idempotency_mismatch",
        "rate_limited",
        "internal",
        "gateway_failed",
        "overloaded",
        "unavailable",
    ],
)
"""The codes of refusals. They are stable."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a limit, as callers see it.

    `size` requests are allowed in `window` seconds (None if the wait varies); `left` are left now, one more in
    `more_in` seconds. `limit`: its name in the table of docs/api.md.
    """

    limit: str
    size: int
    window: float | None
    left: int
    more_in: float


class OtpError(Exception):
    """The base of all errors that the project raises on purpose."""


class SettingsError(OtpError):
    """Settings or policy are missing or unsafe. `problems`: one sentence each, without secrets."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class FieldError:
    """A wrong field of a request: its name and what is wrong, without its value."""

    field: str
    detail: str


@dataclass(eq=False)
class Refusal(OtpError):
    """A rejected request. `code`: from the table in docs/api.md; `detail`: what is wrong and what to do.

    `retry_after`: seconds; `quota`: the limit that was reached; `verification_id`: of the verification that a failed
    start created; `is_landline`: of an `invalid_number`; `decision`: of the guard.
    """

    code: ErrorCode
    detail: str
    retry_after: float | None = None
    quota: Quota | None = None
    errors: list[FieldError] = field(default_factory=list)
    verification_id: str | None = None
    is_landline: bool = False
    decision: str | None = None

    def __post_init__(self) -> None:
        super().__init__(self.code)


def not_found(noun: str) -> Refusal:
    """Return the refusal for an id that does not exist, or belongs to another client."""
    return Refusal("not_found", f"No such {noun}.")


def require(row: T | None, noun: str) -> T:
    """Return what was looked up by its id. Refusal: `not_found` if it is None."""
    if row is None:
        raise not_found(noun)
    return row


def invalid_fields(*wrong: FieldError) -> Refusal:
    """Return the refusal of a request with wrong fields."""
    return Refusal("invalid", "Invalid fields; see `errors`.", errors=list(wrong))


class Unavailable(OtpError):
    """The database is unavailable. It carries no text of the driver, which could contain values."""
