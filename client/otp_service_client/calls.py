"""Every call of the API, as a function from its fields to the request; nothing is sent here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from otp_service_client.answers import Check, Events, Notification, OptOut, Redemption, SearchPage, Verification

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request and the type of its answer. `x_proof`: of a challenge, for the header `X-Proof`."""

    method: str
    path: str
    answer: type[T]
    body: dict[str, Any] | None = field(default=None, repr=False)
    query: dict[str, str] | None = field(default=None, repr=False)
    x_proof: str | None = field(default=None, repr=False)


def post(path: str, answer: type[T], *, x_proof: str | None = None, **fields: Any) -> Call[T]:
    """Return a POST with the fields that are not None."""
    body = {name: value for name, value in fields.items() if value is not None}
    return Call("POST", path, answer, body, x_proof=x_proof)


def path_of(noun: str, public_id: str, call: str = "") -> str:
    """Return the path of a resource, or of a call about it."""
    # Dots alone would be a step up in the path.
    return f"/v1/{noun}/{quote(public_id, safe='').replace('.', '%2E')}{call}"


def start(
    *,
    purpose: str,
    to: str | None = None,
    locale: str | None = None,
    carrier: str | None = None,
    user_ip: str | None = None,
    session: str | None = None,
    session_challenge: str | None = None,
    channel: str | None = None,
    subject: str | None = None,
    reference: str | None = None,
    decoy: bool | None = None,
) -> Call[Verification]:
    """Send a PIN. While the verification is pending, the same start returns it again and sends nothing.

    `to` may be absent only from a decoy.
    """
    return post("/v1/verifications", Verification, **locals())


def check(
    verification_id: str, pin: str, *, session: str | None = None, to: str | None = None, purpose: str | None = None
) -> Call[Check]:
    """Check what the user typed; this uses an attempt."""
    path = path_of("verifications", verification_id, "/checks")
    return post(path, Check, pin=pin, session=session, to=to, purpose=purpose)


def resend(verification_id: str) -> Call[Verification]:
    """Send a new PIN for the same verification; possible from `resend_at` on."""
    return post(path_of("verifications", verification_id, "/resends"), Verification)


def cancel(verification_id: str) -> Call[Verification]:
    """Cancel a pending verification."""
    return post(path_of("verifications", verification_id, "/cancel"), Verification)


def get(verification_id: str) -> Call[Verification]:
    """Return the current verification."""
    return Call("GET", path_of("verifications", verification_id), Verification)


def events(verification_id: str) -> Call[Events]:
    """Return the history of a verification."""
    return Call("GET", path_of("verifications", verification_id, "/events"), Events)


def search(
    *,
    to: str | None = None,
    subject: str | None = None,
    reference: str | None = None,
    status: str | None = None,
    created_after: datetime | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[SearchPage]:
    """Return the verifications of a number, a subject or a reference, newest first."""
    fields = {**locals(), "created_after": created_after and created_after.isoformat()}
    return post("/v1/verifications/search", SearchPage, **fields)


def redeem(proof: str, *, purpose: str, session: str | None = None) -> Call[Redemption]:
    """Redeem a proof, which works once. Do this before you change anything."""
    return post("/v1/proofs/redeem", Redemption, proof=proof, purpose=purpose, session=session)


def send_notification(
    *,
    to: str,
    text: str | None = None,
    template: str | None = None,
    values: Mapping[str, str] | None = None,
    locale: str | None = None,
    carrier: str | None = None,
    reference: str | None = None,
) -> Call[Notification]:
    """Queue a message without a PIN: a text, or a template and its values."""
    return post("/v1/notifications", Notification, **locals())


def get_notification(notification_id: str) -> Call[Notification]:
    """Return the current notification."""
    return Call("GET", path_of("notifications", notification_id), Notification)


def add_opt_out(to: str) -> Call[OptOut]:
    """Opt a number out of all messages."""
    return post("/v1/opt-outs", OptOut, to=to)


def look_up_opt_out(to: str) -> Call[OptOut]:
    """Return whether a number has opted out."""
    return post("/v1/opt-outs/lookup", OptOut, to=to)


def remove_opt_out(to: str) -> Call[OptOut]:
    """Remove an opt-out of an application."""
    return post("/v1/opt-outs/remove", OptOut, to=to)
