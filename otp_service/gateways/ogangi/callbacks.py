"""Reads what is posted to our callback address. Anybody may have written it."""

from urllib.parse import unquote_to_bytes

from otp_service.gateways.base import InboundMessage, Receipt
from otp_service.gateways.ogangi.statuses import delivery

_BODY_LIMIT = 64 * 1024
_MOST_FIELDS = 64
_LONGEST = {
    "TYPE": 32,
    "ENCODING": 32,
    "FROM": 32,
    "TO": 32,
    "TEXT": 10_000,
    "MESSAGE_BODY": 10_000,
    "MESSANGI_ID": 128,
    "STATUS": 64,
}
"""The fields that we read, and how many characters each may have."""
_WRITTEN_BY_PEOPLE = frozenset({"TEXT", "MESSAGE_BODY"})
_ENCODINGS = {"ISO-8859-1": "iso-8859-1", "ISO8859-1": "iso-8859-1", "ISO8859_1": "iso-8859-1", "LATIN1": "iso-8859-1"}
_ENCODINGS |= {"ISO-8859-15": "iso-8859-15", "WINDOWS-1252": "windows-1252", "CP1252": "windows-1252"}
"""What `ENCODING` can name; everything else is read as UTF-8."""


def read_callback(body: bytes) -> InboundMessage | Receipt | None:
    """Return what a form-encoded body says, None if it says nothing that we know. Never raises."""
    fields = _fields(body)
    if fields is None:
        return None
    if fields.get("TYPE") == "MO_MESSAGE":
        return _inbound(fields)
    return _receipt(fields) if fields.get("TYPE") == "SMS" else None


def _inbound(fields: dict[str, str]) -> InboundMessage | None:
    sender, to, text = fields.get("FROM", "").strip(), fields.get("TO", "").strip(), fields.get("TEXT")
    return InboundMessage(sender=sender, to=to, text=text) if sender and text else None


def _receipt(fields: dict[str, str]) -> Receipt | None:
    message_id, status = fields.get("MESSANGI_ID", "").strip(), fields.get("STATUS", "").strip()
    if not message_id or not status:
        return None
    text = fields.get("MESSAGE_BODY") or None
    return Receipt(message_id, delivery(status), to=fields.get("TO", "").strip() or None, text=text)


def _fields(body: bytes) -> dict[str, str] | None:
    """Return the fields that we read by their names in capitals; None if one occurs twice, is too long or ill."""
    if len(body) > _BODY_LIMIT or body.count(b"&") >= _MOST_FIELDS:
        return None
    raw: dict[str, bytes] = {}
    for pair in body.replace(b"+", b" ").split(b"&"):
        encoded_name, _, encoded = pair.partition(b"=")
        name = unquote_to_bytes(encoded_name).decode("ascii", "replace").upper()
        if name in raw:
            return None
        if name in _LONGEST:
            raw[name] = unquote_to_bytes(encoded)
    encoding = _ENCODINGS.get(raw.get("ENCODING", b"").decode("ascii", "replace").strip().upper(), "utf-8")
    try:
        fields = {name: _decoded(name, value, encoding) for name, value in raw.items()}
    except UnicodeDecodeError:
        return None
    return None if any(len(text) > _LONGEST[name] for name, text in fields.items()) else fields


def _decoded(name: str, value: bytes, encoding: str) -> str:
    """Decode a field; a bad byte in a text becomes U+FFFD, in an id it raises UnicodeDecodeError."""
    return value.decode(encoding, "replace" if name in _WRITTEN_BY_PEOPLE else "strict")
