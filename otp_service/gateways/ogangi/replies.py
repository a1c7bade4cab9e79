"""Reads the vendor's XML replies, which may be malformed or hostile."""

import re
import sys
from dataclasses import dataclass, field
from typing import Literal, cast
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

Status = Literal["OK", "ERROR", "BAD_SIGNATURE"]

_DECLARATION = re.compile(r"\ufeff?\s*(<\?xml\b[^>]*\?>)?")
_MESSAGE_ID_LENGTH = 128
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile("&#(?:x([0-9a-fA-F]+)|([0-9]+));")
_LIST = "<MOMessageList>"
_MESSAGE = re.compile("<MOMessage>(.*?)</MOMessage>", re.DOTALL)
_FIELDS = "text|from|to|encoding|keyword|carrier|sendDate"
_FIELD = re.compile(rf"<({_FIELDS})>(.*?)</\1>(?=\s*(?:<(?:{_FIELDS})[>/]|$))", re.DOTALL)
_AMPERSAND = re.compile("&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that could be read. `root` has `<status>` and perhaps `<result>`; it can contain a PIN."""

    status: Status
    root: Element = field(repr=False)


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One `<message>` of a sendSMS reply: its id, which is opaque, and its own status."""

    id: str | None
    status: str | None


def parse(body: bytes, *, is_list: bool = False) -> Reply | None:
    """Return the reply in `body`, rootless or in `<response>`; None if it cannot be read.

    `is_list`: it shows what people wrote, so what XML cannot hold must not make all of it unreadable.
    """
    text = _DECLARATION.sub("", body.decode("utf-8", errors="replace"), count=1)
    root = _root_of_list(text) if is_list else _root(text)
    if root is None:
        return None
    found = root.findall("status")
    status = (found[0].text or "").strip() if len(found) == 1 else ""
    if status not in ("OK", "ERROR", "BAD_SIGNATURE"):
        return None
    return Reply(cast(Status, status), root)


def _root_of_list(text: str) -> Element | None:
    text = _REFERENCE.sub(_harmless, _NOT_XML.sub("\ufffd", text))
    for form in (text, _MESSAGE.sub(_escaped, text)):
        root = _root(form)
        before, _, after = form.rpartition(_LIST)
        if root is None and _LIST in before:  # the provider's own sample closes the list with an opening tag
            root = _root(f"{before}</{_LIST[1:]}{after}")
        if root is not None:
            return root
    return None


def _escaped(message: re.Match[str]) -> str:
    """Return a message of the list as it is if it can be read, else with the markup in its fields escaped."""
    if _root(message[0]) is not None:
        return message[0]
    fields = [(name, _escape(content)) for name, content in _FIELD.findall(message[1])]
    return f"<MOMessage>{''.join(f'<{name}>{content}</{name}>' for name, content in fields)}</MOMessage>"


def _escape(content: str) -> str:
    return _AMPERSAND.sub("&amp;", content).replace("<", "&lt;")


def _harmless(reference: re.Match[str]) -> str:
    """Return a numeric character reference, or U+FFFD if XML does not allow its character."""
    digits = (reference[1] or reference[2]).lstrip("0") or "0"
    code = int(digits, 16 if reference[1] else 10) if len(digits) <= 7 else sys.maxunicode + 1
    return "\ufffd" if code > sys.maxunicode or _NOT_XML.match(chr(code)) else reference[0]


def _root(text: str) -> Element | None:
    try:
        # The rootless form of the documentation is no XML document; inside an element of ours both forms are.
        wrapped = fromstring(f"<r>{text}</r>", forbid_dtd=True)
    except Exception:  # noqa: BLE001 - a hostile body must not get through as an exception, whatever the parser raises
        return None
    if wrapped.find("response") is None:
        return wrapped
    return wrapped[0] if len(wrapped) == 1 else None


def usable_pin(reply: Reply, length: int) -> str | None:
    """Return the PIN of the PIN method, `length` ASCII digits with blanks trimmed; None if none is usable.

    If there is a second `pin` element anywhere, none is usable: either could be the one in the message.
    """
    anywhere = [element for element in reply.root.iter() if _name(element) == "pin"]
    at = reply.root
    for name in ("result", "PinSMSConfirmation", "pin"):
        children = at.findall(name)
        if len(children) != 1:
            return None
        at = children[0]
    pin = (at.text or "").strip()
    usable = len(anywhere) == 1 and len(at) == 0 and re.fullmatch(rf"[0-9]{{{length}}}", pin)
    return pin if usable else None


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def sent_messages(reply: Reply) -> list[SentMessage]:
    """Return the messages in a sendSMS reply."""
    return [
        SentMessage(_only_text(message, "id"), _only_text(message, "status"))
        for message in reply.root.findall("result/messages/message")
    ]


def _only_text(parent: Element, name: str) -> str | None:
    found = parent.findall(name)
    text = (found[0].text or "").strip() if len(found) == 1 else ""
    return text[:_MESSAGE_ID_LENGTH] or None
