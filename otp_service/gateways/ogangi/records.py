"""Reading what the vendor lists: texts from handsets, and the status of our messages."""

from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from otp_service.gateways.base import InboundMessage, Receipt
from otp_service.gateways.ogangi.replies import Reply
from otp_service.gateways.ogangi.statuses import delivery


def incoming(reply: Reply) -> list[InboundMessage] | None:
    """Return the texts of getMOMessages, None without a result; one for each that is listed, also for an odd one."""
    if reply.root.find("result") is None:
        return None
    return [_inbound(message) for message in reply.root.iter("MOMessage")]


def _inbound(message: Element) -> InboundMessage:
    sent = _text(message, "sendDate").strip()
    # Two senders or two texts: if the gateway does not escape what people write, one of each is written by a person.
    is_odd = any(len(message.findall(name)) > 1 for name in ("from", "text"))
    return InboundMessage(
        # The sample's side; the table beside it says the reverse.
        sender="" if is_odd else _text(message, "from").strip(),
        to=_text(message, "to").strip(),
        text=_text(message, "text"),
        sent=sent,
        sent_at=_wall_clock(sent),
    )


def _wall_clock(date: str) -> float | None:
    """Return a date of either documented form as seconds of the vendor's wall clock, None if it is of neither.

    Only one form names its zone, so that it is left out: the same text has the same time in both.
    """
    try:
        return datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def receipts(reply: Reply) -> list[Receipt | None] | None:
    """Return the messages of messageReport, None without a result; None for one without an id or a status."""
    if reply.root.find("result") is None:
        return None
    return [_receipt(message) for message in reply.root.iter("message")]


def receipt(reply: Reply) -> Receipt | None:
    """Return the message of getMessage, None if there is not exactly one with an id and a status."""
    messages = list(reply.root.iter("message"))
    return _receipt(messages[0]) if len(messages) == 1 else None


def is_blacklisted(reply: Reply) -> bool | None:
    """Return what isUserInBlackList says, None if it is neither true nor false."""
    said = [_text(each, "text").strip().lower() for each in reply.root.iter("userBlackList")]
    return {"true": True, "false": False}.get(said[0]) if len(said) == 1 else None


def _receipt(message: Element) -> Receipt | None:
    message_id, status = _text(message, "id").strip(), _text(message, "status").strip()
    if not message_id or not status:
        return None
    text = _text(message, "text") or None
    return Receipt(message_id[:128], delivery(status), to=_text(message, "to").strip() or None, text=text)


def _text(parent: Element, name: str) -> str:
    return parent.findtext(name) or ""
