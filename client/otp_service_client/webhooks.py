"""Verifies the webhooks of the service, which follow Standard Webhooks (https://www.standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from otp_service_client.answers import Verification
from otp_service_client.decoding import decode
from otp_service_client.errors import InvalidSignature

TOLERANCE = 300
"""Seconds that the time of a webhook may differ from now."""
_PREFIX = "whsec_"
_SHORTEST_SECRET = 16


@dataclass(frozen=True)
class WebhookEvent:
    """An event. `id` is the same each time that the event is sent: handle each id once."""

    id: str
    type: str
    timestamp: datetime
    data: dict[str, Any] = field(repr=False)

    @property
    def verification(self) -> Verification | None:
        """Return the verification of a `verification.*` event, as of its time, and None for other events."""
        return decode(Verification, self.data) if self.type.startswith("verification.") else None


def verify(body: bytes | str, headers: Mapping[str, str], secret: str) -> WebhookEvent:
    """Return the event of a signed request. `body` is the raw body, before any parsing.

    Raises InvalidSignature if it was not signed with the secret within the last five minutes.
    """
    key = _key(secret)
    given = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not event_id or not re.fullmatch("[0-9]{1,12}", timestamp):
        raise InvalidSignature("A header of Standard Webhooks is missing or malformed.")
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        raise InvalidSignature("The webhook is too old, or the clock of this machine is wrong.")
    raw = _bytes(body)
    signed = hmac.digest(key, b"%s.%s.%s" % (_bytes(event_id), _bytes(timestamp), raw), hashlib.sha256)
    if not _signed_with(b"v1," + base64.b64encode(signed), given.get("webhook-signature", "")):
        raise InvalidSignature("No signature matches.")
    return _event(event_id, raw)


def _signed_with(expected: bytes, signatures: str) -> bool:
    """Return whether one of the signatures is right. After a change of the secret there are two."""
    return any([hmac.compare_digest(expected, _bytes(each)) for each in signatures.split()])


def _event(event_id: str, raw: bytes) -> WebhookEvent:
    try:
        return decode(WebhookEvent, {**json.loads(raw), "id": event_id})
    except (TypeError, ValueError):
        raise InvalidSignature("The body is not an event.") from None


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    # Anybody could sign with an empty key.
    if len(key) < _SHORTEST_SECRET:
        raise ValueError("The secret must be the one of the webhook: whsec_ and Base64.")
    return key


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
