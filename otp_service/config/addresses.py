"""Addresses in settings: the database, the gateway, the proxies. What is wrong is a ValueError without the value."""

import ipaddress
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_URL = re.compile(r"[!-~]+")
_POSTGRES_URL = re.compile(r"postgresql://(?P<authority>[^/?#\s]*)(?P<path>[^?#\s]*)\S*")
_LIKE_POSTGRES = "should be like postgresql://user@host:5432/database, of ASCII characters without spaces"
_ENCODED = "should have its user and password percent-encoded: @ is %40, / is %2F, # is %23, ? is %3F, % is %25"


def checked_database_url(text: str) -> str:
    """`sqlite:///path` whose folder exists, or `postgresql://...`; in-memory databases are refused."""
    if text.startswith("sqlite:"):
        _check_sqlite(text)
    elif text.startswith("postgresql:"):
        _check_postgres(text)
    elif text.startswith(("postgresql+", "sqlite+", "postgres:")):
        raise ValueError("should begin with postgresql:// or sqlite:///; the driver is chosen inside")
    else:
        raise ValueError("should be sqlite:///path or postgresql://user@host/database")
    return text


def _check_sqlite(text: str) -> None:
    path = text.removeprefix("sqlite:///")
    if path == text or path in {"", ":memory:"} or path.startswith("file:") or "?" in path:
        raise ValueError(
            "should be sqlite:///path with the path of a file; a database in memory is lost and not shared"
        )
    if not Path(path).parent.is_dir():
        raise ValueError("names a file in a folder that does not exist")
    if Path(path).is_dir():
        raise ValueError("names a folder; it should be a file")


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
    """An https:// address (http:// on loopback alone) without user, query or fragment; no slash at the end."""
    url = _split(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("should be an https:// address")
    if any(char in text for char in "?#@\\"):
        raise ValueError("should hold no user, query or fragment")
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ValueError("should begin with https://; http:// is for loopback addresses only")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself, as far as the name alone tells."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8, 192.0.2.7, fd00::/8` as networks; an address alone is a network of one."""
    return tuple(_network(part.strip()) for part in text.split(",")) if text.strip() else ()


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("should be addresses or networks such as 10.0.0.0/8,192.0.2.7") from None
    if network.prefixlen == 0:
        raise ValueError("should name the proxies, not everybody")
    return network


def _split(text: str) -> SplitResult:
    # urlsplit drops tabs and newlines without a word, so only what cannot be misread gets there.
    if not _URL.fullmatch(text):
        raise ValueError("should be an address of ASCII characters without spaces")
    try:
        url = urlsplit(text)
        url.port  # noqa: B018 - it is parsed, and refused, when it is read
    except ValueError:
        raise ValueError("should be an address with a valid host and port") from None
    return url
