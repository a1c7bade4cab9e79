"""Webhooks signed by the reference implementation of Standard Webhooks."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from otp_service_client import errors, webhooks
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "A" * 32
BODY = json.dumps(
    {"type": "verification.approved", "timestamp": "2026-11-28T05:00:00.000Z", "data": {"to": "+573001234567"}}
)


def signed(body: str = BODY, *secrets: str, at: datetime | None = None) -> dict[str, str]:
    """Returns the headers of a webhook."""
    at = at or datetime.now(UTC)
    signatures = [Webhook(secret).sign("msg_1", at, body) for secret in secrets or (SECRET,)]
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


@pytest.mark.parametrize("body", [BODY, BODY.encode()])
@pytest.mark.parametrize("spelling", [str.lower, str.title, str.upper])
def test_an_event_is_returned(body: str | bytes, spelling: Callable[[str], str]) -> None:
    headers = {spelling(name): value for name, value in signed().items()}
    event = webhooks.verify(body, headers, SECRET)
    assert (event.id, event.type) == ("msg_1", "verification.approved")
    assert event.timestamp == datetime(2026, 11, 28, 5, tzinfo=UTC)
    assert event.data == {"to": "+573001234567"}
    assert "+57" not in repr(event)


@pytest.mark.parametrize("kind", ["webhook.test", "number.opted_out", "notification.sent"])
def test_an_event_of_another_type_has_no_verification(kind: str) -> None:
    body = BODY.replace("verification.approved", kind)
    assert webhooks.verify(body, signed(body), SECRET).verification is None


def test_one_good_signature_among_several_is_enough() -> None:
    headers = signed(BODY, OTHER, SECRET)
    headers["webhook-signature"] = f"v1a,AAAA {headers['webhook-signature']} é"
    assert webhooks.verify(BODY, headers, SECRET).id == "msg_1"
    assert webhooks.verify(BODY, headers, SECRET.removeprefix("whsec_")).id == "msg_1"


def altered(**changes: str | None) -> dict[str, str]:
    headers = signed() | {f"webhook-{name}": value for name, value in changes.items() if value is not None}
    return {
        name: value for name, value in headers.items() if changes.get(name.removeprefix("webhook-"), "") is not None
    }


FORGED: list[tuple[str, dict[str, str]]] = [
    (BODY + " ", signed()),
    (BODY, signed(BODY, OTHER)),
    (BODY, altered(id="msg_2")),
    (BODY, altered(id=None)),
    (BODY, altered(timestamp=None)),
    (BODY, altered(signature=None)),
    (BODY, altered(signature="")),
    (BODY, altered(signature="v1,")),
    (BODY, altered(signature=signed()["webhook-signature"].replace("v1,", "v2,"))),
    (BODY, altered(timestamp="1e9")),
    (BODY, altered(timestamp="-1")),
    (BODY, altered(timestamp="٣")),
    (BODY, altered(timestamp="9" * 400)),
    ("[]", signed("[]")),
    ("{", signed("{")),
    ('{"type": "x"}', signed('{"type": "x"}')),
]


@pytest.mark.parametrize(("body", "headers"), FORGED)
def test_anything_else_is_refused(body: str, headers: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidSignature):
        webhooks.verify(body, headers, SECRET)


@pytest.mark.parametrize(("minutes", "accepted"), [(-6, False), (-4, True), (4, True), (6, False)])
def test_the_time_may_differ_by_five_minutes(minutes: int, accepted: bool) -> None:
    headers = signed(at=datetime.now(UTC) + timedelta(minutes=minutes))
    if accepted:
        assert webhooks.verify(BODY, headers, SECRET).id == "msg_1"
        return
    with pytest.raises(errors.InvalidSignature):
        webhooks.verify(BODY, headers, SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_not base64 at all, but long"])
def test_a_secret_with_which_anybody_could_sign_is_refused_and_not_shown(secret: Any) -> None:
    with pytest.raises(ValueError, match="whsec_") as raised:
        webhooks.verify(BODY, signed(), secret)
    assert "AAAA" not in str(raised.value)
    assert "long" not in str(raised.value)
