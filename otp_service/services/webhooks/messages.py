"""What is posted to a receiver: the body of an event, and its headers as Standard Webhooks defines them."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from otp_service.clock import rfc3339
from otp_service.database.statements import AnyRow
from otp_service.services.context import Context
from otp_service.services.factors import events
from otp_service.services.guard import events as guard_events
from otp_service.services.notifications import notifications
from otp_service.services.verifications.representation import represent
from otp_service.storage import opt_outs as stored_opt_outs
from otp_service.storage.numbers import open_number
from otp_service.storage.queues import notifications as stored_notifications
from otp_service.storage.verifications import verifications as stored_verifications
from otp_service.vault import SealedFor

_PREFIX = "whsec_"
_SECRET_BYTES = 32

AsJson = Callable[[object], Any]
"""Returns what the API returns of a verification, a notification or an opt-out, as JSON values."""


@dataclass(frozen=True)
class NumberState:
    """Whether a number has opted out, as of an event. `to`: None once retention deleted the number."""

    to: str | None = field(repr=False)
    opted_out: bool
    source: str | None
    since: float | None


def new_secret() -> str:
    """Return a new secret of a webhook."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def open_secrets(ctx: Context, webhook: AnyRow) -> list[str]:
    """Return the secrets that sign now, the newest first; none if the key of the newest is gone."""
    newest = ctx.vault.open(SealedFor.WEBHOOK, webhook.secret_sealed)
    if newest is None:
        return []
    still = webhook.former_until is not None and webhook.former_until > ctx.clock.now()
    former = ctx.vault.open(SealedFor.WEBHOOK, webhook.former_secret_sealed) if still else None
    return [secret.decode() for secret in (newest, former) if secret is not None]


def body(event_type: str, at: float, data: Any) -> bytes:
    """Return the body of an event."""
    content = {"type": event_type, "timestamp": rfc3339(at), "data": data}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def headers(message_id: str, now: float, content: bytes, signing: list[str]) -> dict[str, str]:
    """Return the headers of a body: its id, the time of this try, and a signature by each secret."""
    signed = b".".join((message_id.encode(), str(int(now)).encode(), content))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in signing),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def resource_of(ctx: Context, event: AnyRow) -> object:
    """Return what a claimed event is about, such as a verification or a factor, as of the event's time."""
    noun = str(event.type).partition(".")[0]
    return _RESOURCES[noun](ctx, event)


def _verification(ctx: Context, event: AnyRow) -> object:
    return represent(ctx, _row(stored_verifications.EVENTS.parse(event.data), event), at=event.created_at)


def _notification(ctx: Context, event: AnyRow) -> object:
    return notifications.represent(ctx, _row(stored_notifications.EVENTS.parse(event.data), event))


def _opt_out(ctx: Context, event: AnyRow) -> object:
    row = _row(stored_opt_outs.EVENTS.parse(event.data), event)
    is_out = bool(row.opted_out)
    return NumberState(
        open_number(ctx.vault, row.sealed),
        opted_out=is_out,
        source=row.source if is_out else None,
        since=row.since if is_out else None,
    )


def _of_a_subject(_: Context, event: AnyRow) -> object:
    return events.read(event.type, event.data)


def _of_the_guard(_: Context, event: AnyRow) -> object:
    return guard_events.read(event.type, event.data)


def _row(kept: SimpleNamespace, event: AnyRow) -> Any:
    kept.sealed, kept.phrase_sealed = event.sealed, None
    return kept


_RESOURCES = {
    "verification": _verification,
    "notification": _notification,
    "number": _opt_out,
    "factor": _of_a_subject,
    "device": _of_a_subject,
    "guard": _of_the_guard,
}
