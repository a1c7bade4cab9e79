"""Response bodies with Twilio's fields."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from otp_service.api.kit.answers import Answer, Timestamp
from otp_service.api.twilio.calls import TwilioCall
from otp_service.api.twilio.sids import attempt_sid, sid_of
from otp_service.config.policy.policy import Purpose
from otp_service.services.verifications.checks import Checked
from otp_service.services.verifications.lifecycle import Event
from otp_service.services.verifications.representation import Verification

_STATUS = {"exhausted": "max_attempts_reached"}
"""The statuses that Twilio names differently."""


def _whole_seconds(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Twilio's libraries leave times with milliseconds unparsed.
Seconds = Annotated[float, PlainSerializer(_whole_seconds, return_type=str)]


class AttemptAnswer(Answer):
    """A message that was sent, or can have been."""

    attempt_sid: str
    channel: str = "sms"
    time: Timestamp


class TwilioVerification(Answer):
    """Twilio's Verification."""

    sid: str
    service_sid: str
    account_sid: str
    to: str | None
    channel: str = "sms"
    status: str
    valid: bool
    lookup: dict[str, str] = Field(default={})
    amount: str | None = None
    payee: str | None = None
    send_code_attempts: list[AttemptAnswer]
    date_created: Seconds
    date_updated: Seconds
    sna: None = None
    url: str


class TwilioCheck(Answer):
    """Twilio's VerificationCheck."""

    sid: str
    service_sid: str
    account_sid: str
    to: str | None
    channel: str = "sms"
    status: Literal["pending", "approved"]
    valid: bool
    amount: str | None = None
    payee: str | None = None
    sna_attempts_error_codes: tuple[str, ...] = ()
    date_created: Seconds
    date_updated: Seconds


class TwilioService(Answer):
    """Twilio's Service: a purpose. Features that do not exist here are off."""

    sid: str
    account_sid: str
    friendly_name: str
    code_length: int
    lookup_enabled: bool = False
    psd2_enabled: bool = False
    skip_sms_to_landlines: bool = True
    dtmf_input_required: bool = False
    tts_name: str | None = None
    do_not_share_warning_enabled: bool = False
    custom_code_enabled: bool = False
    push: None = None
    totp: None = None
    default_template_sid: str | None = None
    whatsapp: None = None
    passkeys: None = None
    verify_event_subscription_enabled: bool = False
    date_created: None = None
    date_updated: None = None
    url: str
    links: dict[str, str]


def verification(call: TwilioCall, found: Verification, events: list[Event]) -> TwilioVerification:
    """Return a verification; its events are oldest first."""
    sends = [event for event in events if event.type == "send" and event.result != "refused"]
    sid = sid_of(found.id)
    return TwilioVerification(
        sid=sid,
        service_sid=found.purpose,
        account_sid=call.client.id,
        to=found.to,
        status=_STATUS.get(found.status, found.status),
        valid=found.status == "approved",
        send_code_attempts=[
            AttemptAnswer(attempt_sid=attempt_sid(found.id, number), time=send.at) for number, send in enumerate(sends)
        ],
        date_created=found.created_at,
        date_updated=events[-1].at,
        url=call.url(f"/Verifications/{sid}"),
    )


def check(call: TwilioCall, checked: Checked) -> TwilioCheck:
    """Return a check that was compared. `pending` also if it used the last attempt, as at Twilio."""
    approved = checked.result == "approved"
    return TwilioCheck(
        sid=sid_of(checked.verification.id),
        service_sid=checked.verification.purpose,
        account_sid=call.client.id,
        to=checked.verification.to,
        status="approved" if approved else "pending",
        valid=approved,
        date_created=checked.verification.created_at,
        date_updated=call.ctx.clock.now(),
    )


def service(call: TwilioCall, purpose: Purpose) -> TwilioService:
    """Return a purpose."""
    return TwilioService(
        sid=purpose.name,
        account_sid=call.client.id,
        friendly_name=purpose.brand,
        code_length=purpose.pin_length,
        url=call.url(""),
        links={"verifications": call.url("/Verifications"), "verification_checks": call.url("/VerificationCheck")},
    )
