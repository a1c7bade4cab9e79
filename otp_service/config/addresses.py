"""Addresses in settings: of the database, the gateway and the proxies. Errors do not contain the value."""

import ipaddress
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_URL = re.compile(r"[!-~]+")
_POSTGRES_URL = re.compile(r"postgresql://(?P<authority>[^/?#\s]*)(?P<path>[^?#\s]*)\S*")
_LIKE_POSTGRES = "must be like postgresql://user@host:5432/database, of ASCII characters without spaces"
_ENCODED = "must have its user and password percent-encoded: @ is %40, / is %2F, # is %23, ? is %3F, % is %25"


def checked_database_url(text: str) -> str:
    """Accept `sqlite:///path` if its folder exists, and `postgresql://...`; reject in-memory databases."""
    if text.startswith("sqlite:"):
        _check_sqlite(text)
    elif text.startswith("postgresql:"):
        _check_postgres(text)
    elif text.startswith(("postgresql+", "sqlite+", "postgres:")):
        raise ValueError("must begin with postgresql:// or sqlite:///, without a driver")
    else:
        raise ValueError("must be sqlite:///path or postgresql://user@host/database")
    return text


def _check_sqlite(text: str) -> None:
    path = text.removeprefix("sqlite:///")
    if path == text or path in {"", ":memory:"} or path.startswith("file:") or "?" in path:
        raise ValueError("must be sqlite:///path with the path of a file; in-memory databases are not supported")
    if not Path(path).parent.is_dir():
        raise ValueError("the folder of this file does not exist; create it")
    if Path(path).is_dir():
        raise ValueError("is a folder; write the path of a file")


def _check_postgres(text: str) -> None:
    parts = _POSTGRES_URL.fullmatch(text) if text.isascii() else None
    if parts is None or not (parts["authority"] or parts["path"]):
        raise ValueError(_LIKE_POSTGRES)
    user, _, hosts = parts["authority"].rpartition("@")
    try:
        for host in hosts.split(","):
            _split(f"//{host}")
    except ValueError:
        raise ValueError(_ENCODED if "@" in text else _LIKE_POSTGRES) from None
    if "@" in user or "@" in parts["path"]:
        raise ValueError(_ENCODED)


def checked_base_url(text: str) -> str:
    """Accept an https:// address (http:// only on loopback); return it without the trailing slash."""
    url = _plain(text)
    if url.scheme == "http" and not is_loopback(str(url.hostname)):
        raise ValueError("must begin with https://; http:// is allowed only on loopback")
    return text.rstrip("/")


def checked_public_url(text: str) -> str:
    """Accept an https:// address and return it as it is: applications compare it with the issuer of proofs."""
    if _plain(text).scheme != "https":
        raise ValueError("must begin with https://")
    return text


def _plain(text: str) -> SplitResult:
    url = _split(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("must be an https:// address")
    if any(char in text for char in "?#@\\"):
        raise ValueError("must not contain a user, query or fragment")
    return url


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is loopback, without resolving it."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse `10.0.0.0/8, 192.0.2.7, fd00::/8`; a single address is a network of one."""
    return tuple(_network(part.strip()) for part in text.split(",")) if text.strip() else ()


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("must be addresses or networks such as 10.0.0.0/8,192.0.2.7") from None
    if network.prefixlen == 0:
        raise ValueError("must not contain every address")
    return network


def _split(text: str) -> SplitResult:
    # urlsplit silently drops tabs and newlines.
    if not _URL.fullmatch(text):
        raise ValueError("must be a URL of ASCII characters without spaces")
    try:
        url = urlsplit(text)
        url.port  # noqa: B018 - it is parsed, and refused, when it is read
    except ValueError:
        raise ValueError("must have a valid host and port; percent-encode special characters of the password") from None
    return url
