"""The events of factors and devices: for webhooks, in the transaction that makes them true."""

import json
from dataclasses import asdict

from sqlalchemy.engine import Connection

from otp_service.services.factors.representation import Device, Factor, RecoveryCodeUse
from otp_service.storage import webhook_events


def record(tx: Connection, client_id: str, name: str, about: Factor | RecoveryCodeUse | Device, now: float) -> None:
    """Record an event such as `factor.added`; its webhooks get what it is about as it is now."""
    webhook_events.record_object(tx, client_id, name, json.dumps(asdict(about)), now=now)


def read(event_type: str, data: str) -> Factor | RecoveryCodeUse | Device:
    """Return what an event is about, as `record` kept it."""
    kept = json.loads(data)
    if event_type == "factor.recovery_code_used":
        return RecoveryCodeUse(**kept)
    return Device(**kept) if event_type.startswith("device.") else Factor(**kept)
