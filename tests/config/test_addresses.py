"""Addresses in settings: what is taken, and what is refused before anything is sent or stored there."""

from ipaddress import ip_network

import pytest

from otp_service.config.addresses import checked_base_url, checked_database_url, parse_networks


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user@host/db",
        "postgresql://user:p%40ss@host:5432/db?sslmode=require",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://h1/db?user=me@tenant",
        "postgresql://u@h1:1,h2:2/db?target_session_attrs=read-write",
        "postgresql://u:p%40ss@h1,[::1]:5432/db",
        "sqlite:///./otp.db",
    ],
)
def test_database_urls(url: str) -> None:
    assert checked_database_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory",
        "sqlite:///x.db?mode=memory",
        "sqlite:///no/such/folder/x.db",
        "sqlite:///.",
        "sqlite+aiosqlite:///x.db",
        "postgres://host/db",
        "postgresql+psycopg://host/db",
        "postgresql:host",
        "postgresql://host:port/db",
        "postgresql://u@h1:1,h2:port/db",
        "postgresql://",
        "mysql://host/db",
        "otp.db",
    ],
)
def test_database_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|create it|is a folder"):
        checked_database_url(url)


@pytest.mark.parametrize("password", ["p@hush", "p/hush", "p#hush", "p?hush", "123/hush"])
def test_a_password_that_is_not_percent_encoded_is_named_and_not_shown(password: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded: @ is %40") as raised:
        checked_database_url(f"postgresql://user:{password}@host/db")
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://localhost:8081/mmc", "http://127.3.2.1/mmc", "http://[::1]:1/mmc"])
def test_http_is_for_loopback(url: str) -> None:
    assert checked_base_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example/mmc",
        "http://127.0.0.1.example/mmc",
        "http://localhost@gateway.example/mmc",
        "https://user@gateway.example/mmc",
        "https://gateway.example/mmc?x=1",
        "https://gateway.example/mmc#x",
        "https://gateway.example\\mmc",
        "https://gateway.example/m\tmc",
        "https://gateway.example:port/mmc",
        "https://[::1/mmc",
        "https:///mmc",
        "gateway.example",
        "ftp://gateway.example/mmc",
    ],
)
def test_base_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        checked_base_url(url)


def test_the_slash_at_the_end_of_a_base_url_is_dropped() -> None:
    assert checked_base_url("https://gateway.example/mmc/") == "https://gateway.example/mmc"


def test_networks() -> None:
    assert parse_networks(" 10.0.0.0/8, ::1") == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert parse_networks("") == ()


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.1/8", "proxy.example", "*", "::1,"])
def test_networks_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_networks(text)
