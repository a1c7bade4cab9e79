"""Reads what is posted to our callback address. Anybody may have written it."""

from urllib.parse import parse_qsl

from otp_service.gateways.base import Inbound, Receipt
from otp_service.gateways.ogangi.records import e164
from otp_service.gateways.ogangi.statuses import delivery

_BODY_LIMIT = 64 * 1024
_MOST_FIELDS = 64
_LONGEST = {"TYPE": 32, "FROM": 32, "TO": 32, "TEXT": 10_000, "MESSAGE_BODY": 10_000, "MESSANGI_ID": 128, "STATUS": 64}
"""The fields that we read, and how many characters each may have."""


def read_callback(body: bytes) -> Inbound | Receipt | None:
    """What a form-encoded body says; None if it says nothing that we know. Never raises."""
    fields = _fields(body)
    if fields is None:
        return None
    if fields.get("TYPE") == "MO_MESSAGE":
        return _inbound(fields)
    return _receipt(fields) if fields.get("TYPE") == "SMS" else None


def _inbound(fields: dict[str, str]) -> Inbound | None:
    sender, to, text = e164(fields.get("FROM", "")), fields.get("TO", "").strip(), fields.get("TEXT")
    return Inbound(sender=sender, to=to, text=text) if sender and to and text else None


def _receipt(fields: dict[str, str]) -> Receipt | None:
    message_id, status = fields.get("MESSANGI_ID", "").strip(), fields.get("STATUS", "").strip()
    if not message_id or not status:
        return None
    text = fields.get("MESSAGE_BODY") or None
    return Receipt(message_id, delivery(status), to=fields.get("TO", "").strip() or None, text=text)


def _fields(body: bytes) -> dict[str, str] | None:
    """The fields by name in capitals, none of them twice, none of ours longer than it may be."""
    if len(body) > _BODY_LIMIT:
        return None
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        return None
    fields = {name.upper(): text for name, text in pairs}
    too_long = any(len(fields.get(name, "")) > most for name, most in _LONGEST.items())
    return None if too_long or len(fields) < len(pairs) else fields
