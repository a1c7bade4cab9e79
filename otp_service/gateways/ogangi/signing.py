"""Paths of signed calls: URL segments, URL-safe Base64 and the HMAC signature."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from urllib.parse import quote

_REFUSED = frozenset("/\\?#%")


def check_segment(text: str) -> None:
    """Raise ValueError, without the value, unless `text` can stand in a URL as exactly one segment.

    How the vendor signs an encoded `/` or `%` is documented nowhere, and a proxy may decode it on the way, so these are
    never sent.
    """
    if text in ("", ".", ".."):
        raise ValueError("must not be empty, '.' or '..'")
    if not _REFUSED.isdisjoint(text):
        raise ValueError("must not hold any of / \\ ? # %")
    if not text.isprintable():
        raise ValueError("must not hold control or invisible characters")


def plain(text: str, *, keep: str = "") -> str:
    """Return `text` as one URL segment, percent-encoded except for `keep`: filters keep their `=`, `&` and `,`."""
    check_segment(text)
    return quote(text, safe=keep)


def base64_segment(text: str, *, padding: bool) -> str:
    """Return `text` as URL-safe Base64 over UTF-8. The documentation pads with `=`, clients in the field do not."""
    encoded = urlsafe_b64encode(text.encode()).decode("ascii")
    if not encoded:
        raise ValueError("must not be empty")
    return encoded if padding else encoded.rstrip("=")


def sign(private_key: str, segments: Sequence[str]) -> str:
    """Return lower-case hex HMAC-SHA256 over the segments exactly as they are in the URL, joined with `/`."""
    return hmac.new(private_key.encode(), "/".join(segments).encode("ascii"), hashlib.sha256).hexdigest()


def signed_path(method: str, segments: Sequence[str], *, public_key: str, private_key: str) -> str:
    """Return the path of one call after `{base}`: every path ends in `/{publicKey}/{signature}`."""
    tail = (plain(public_key), sign(private_key, segments))
    return "/".join(("/rest/api", method, *segments, *tail))
