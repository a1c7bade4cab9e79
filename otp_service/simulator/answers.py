"""The wire protocol's replies: XML, every value escaped."""

import re
from xml.sax.saxutils import escape

from starlette.responses import Response

_DESCRIPTIONS = {
    "OK": "Completed",
    "BAD_SIGNATURE": "Invalid signature, access denied",
    "ERROR": "Internal error, please report this to the administrator",
}

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(name: str, *children: str) -> str:
    """Return an element that contains elements."""
    return f"<{name}>{''.join(children)}</{name}>"


def leaf(name: str, text: str | None) -> str:
    """Return an element that contains text; characters that XML does not allow become U+FFFD."""
    return element(name, escape(_NOT_XML.sub("\ufffd", text or "")))


def parts(method: str, status: str, result: str | None = None) -> str:
    """Return the elements of a reply, side by side."""
    shown = [leaf("input", method), leaf("status", status), leaf("description", _DESCRIPTIONS[status])]
    return "".join(shown) + (element("result", result) if result is not None else "")


def reply(method: str, status: str, result: str | None = None) -> str:
    """Return a whole reply. `result`: the elements inside `<result>`, None if the method has none."""
    return element("response", parts(method, status, result))


def as_xml(body: str | bytes) -> Response:
    """Return HTTP 200 with `body`."""
    return Response(body, media_type="application/xml")
