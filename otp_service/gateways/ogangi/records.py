"""What the reading methods list: messages from handsets, messages to them, and one fate or the other."""

import re
from xml.etree.ElementTree import Element

from otp_service.gateways.base import Inbound, Receipt
from otp_service.gateways.ogangi.replies import Reply
from otp_service.gateways.ogangi.statuses import delivery


def incoming(reply: Reply) -> list[Inbound] | None:
    """The messages of getMOMessages ; None without a result.

    One for each that is listed, so that a page has the length that it had; one from nobody has the sender "".
    """
    if reply.root.find("result") is None:
        return None
    return [
        Inbound(
            sender=e164(_text(message, "from")) or "",  # of two meanings, that of the provider's sample
            to=_text(message, "to").strip(),
            text=_text(message, "text"),
            sent=_text(message, "sendDate").strip(),
        )
        for message in reply.root.iter("MOMessage")
    ]


def receipts(reply: Reply) -> list[Receipt | None] | None:
    """The messages of messageReport, None without a result; one that names no id or no status is None."""
    if reply.root.find("result") is None:
        return None
    return [_receipt(message) for message in reply.root.iter("message")]


def receipt(reply: Reply) -> Receipt | None:
    """The message of getMessage, None if there is not exactly one that names its id and its status."""
    messages = list(reply.root.iter("message"))
    return _receipt(messages[0]) if len(messages) == 1 else None


def is_blacklisted(reply: Reply) -> bool | None:
    """What isUserInBlackList says; None if it is neither true nor false."""
    said = [_text(each, "text").strip().lower() for each in reply.root.iter("userBlackList")]
    return {"true": True, "false": False}.get(said[0]) if len(said) == 1 else None


def e164(number: str) -> str | None:
    """The vendor's digits (a `+` before them does no harm) in E.164; None if they are none."""
    match = re.fullmatch(r"\+?([0-9]{1,20})", number.strip())
    return f"+{match[1]}" if match else None


def _receipt(message: Element) -> Receipt | None:
    message_id, status = _text(message, "id").strip(), _text(message, "status").strip()
    if not message_id or not status:
        return None
    text = _text(message, "text") or None
    return Receipt(message_id[:128], delivery(status), to=_text(message, "to").strip() or None, text=text)


def _text(parent: Element, name: str) -> str:
    return parent.findtext(name) or ""
