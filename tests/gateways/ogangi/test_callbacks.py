"""Callbacks: what the vendor posts, and what anybody else may."""

from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.gateways.base import InboundMessage, Receipt
from otp_service.gateways.ogangi.callbacks import read_callback

MO = {"FROM": "573001234567", "TO": "12345", "TEXT": "sí, ¡STOP!", "ENCODING": "UTF-8", "TYPE": "MO_MESSAGE"}
NOTICE = {
    "FROM": "12345",
    "TO": "573001234567",
    "MESSAGE_BODY": "Acme: 482913",
    "TYPE": "SMS",
    "CLIENT_ID": "",
    "MESSANGI_ID": "-8174720676710228700",
    "STATUS": "DELIVERED_TO_DEVICE",
}
RECEIPT = Receipt("-8174720676710228700", "delivered", to="573001234567", text="Acme: 482913")
READ_MO = InboundMessage(sender="573001234567", to="12345", text="sí, ¡STOP!")


def body(fields: dict[str, str], **changes: str | None) -> bytes:
    changed = {**fields, **changes}
    return urlencode({name: text for name, text in changed.items() if text is not None}).encode()


def lower(fields: dict[str, str]) -> dict[str, str]:
    return {name.lower(): text for name, text in fields.items()}


def test_a_text_is_read_with_names_in_either_case() -> None:
    assert read_callback(body(MO)) == READ_MO
    assert read_callback(body(lower(MO))) == READ_MO
    assert read_callback(body(MO, FROM="+57 300 123 4567")) == replace(READ_MO, sender="+57 300 123 4567")
    assert read_callback("&".join(f"{name}={text}" for name, text in MO.items()).encode()) == READ_MO


def test_a_status_notice_is_read_with_names_in_either_case() -> None:
    assert read_callback(body(NOTICE)) == RECEIPT
    assert read_callback(body(lower(NOTICE))) == RECEIPT


@pytest.mark.parametrize(
    ("status", "delivery"),
    [("BAD ADDRESS", "failed"), ("UNDELIV...", "undelivered"), ("buffred", "sent"), ("No one knows", "unknown")],
)
def test_a_status_is_said_in_our_words(status: str, delivery: str) -> None:
    read = read_callback(body(NOTICE, STATUS=status))
    assert isinstance(read, Receipt)
    assert read.status == delivery


def test_a_notice_may_keep_number_and_text_to_itself() -> None:
    read = read_callback(body(NOTICE, TO=None, MESSAGE_BODY=None, FROM=None))
    assert read == Receipt("-8174720676710228700", "delivered")
    assert read_callback(body(NOTICE, TO=" ", MESSAGE_BODY="")) == read


@pytest.mark.parametrize("name", ["ISO-8859-1", "iso8859_1", "Windows-1252"])
def test_the_text_is_read_in_the_encoding_that_the_gateway_names(name: str) -> None:
    encoded = "FROM=573001234567&TO=12345&TYPE=MO_MESSAGE&TEXT=s%ED%2C+%A1STOP%21"
    assert read_callback(f"{encoded}&ENCODING={name}".encode()) == READ_MO
    assert read_callback(f"{encoded}&ENCODING={name}".encode().replace(b"%ED", b"\xed")) == READ_MO


@pytest.mark.parametrize("name", [None, "", "UTF-8", "GSM7", "no-such", "utf-16", "base64", "\x00"])
def test_any_other_encoding_is_utf8(name: str | None) -> None:
    assert read_callback(body(MO, ENCODING=name)) == READ_MO


def test_a_bad_byte_costs_no_more_than_itself() -> None:
    assert read_callback(body(MO) + b"&KEYWORD=%ff&\xff=\xfe&x=1&x=2") == READ_MO
    assert read_callback(body(NOTICE) + b"&CLIENT_NAME=\xed") == RECEIPT
    assert read_callback(body(MO, TEXT=None, TO=None) + b"&TEXT=%ffSTOP") == InboundMessage(
        "573001234567", "", "\ufffdSTOP"
    )
    assert read_callback(body(NOTICE, MESSAGE_BODY=None) + b"&MESSAGE_BODY=%ff") == replace(RECEIPT, text="\ufffd")


ILL = [
    b"",
    b"\xff\xfe",
    b"TYPE=MO_MESSAGE",
    b"{}",
    b"TYPE=MO_MESSAGE&FROM=%ff&TO=2&TEXT=STOP",
    b"TYPE=SMS&STATUS=DELIVRD&MESSANGI_ID=%ff",
    b"&" * 70_000,
    b"a=1&" * 65 + body(MO),
    body(MO) + b"&x=" + b"y" * 65_536,
    body(MO) + b"&FROM=573007654321",
    body(MO) + b"&from=573007654321",
    body(NOTICE) + b"&status=READ",
    *(body(MO, **{name: None}) for name in ("FROM", "TEXT", "TYPE")),
    *(body(MO, **{name: ""}) for name in ("FROM", "TEXT", "TYPE")),
    *(body(NOTICE, **{name: None}) for name in ("MESSANGI_ID", "STATUS", "TYPE")),
    *(body(NOTICE, **{name: " "}) for name in ("MESSANGI_ID", "STATUS")),
    body(MO, TEXT="x" * 10_001),
    body(NOTICE, MESSAGE_BODY="x" * 10_001),
    body(NOTICE, MESSANGI_ID="9" * 129),
    body(NOTICE, STATUS="A" * 65),
    body(MO, TYPE="SMS"),
    body(NOTICE, TYPE="DLR"),
]


@pytest.mark.parametrize("ill", ILL, ids=range(len(ILL)))
def test_what_says_nothing_for_sure_is_none(ill: bytes) -> None:
    assert read_callback(ill) is None


def test_what_is_read_shows_no_secret() -> None:
    shown = repr((read_callback(body(MO)), read_callback(body(NOTICE))))
    for secret in ("573001234567", "STOP", "482913", "8174720676710228700"):
        assert secret not in shown


@given(st.binary(max_size=2000))
def test_no_bytes_make_it_raise(hostile: bytes) -> None:
    read_callback(hostile)
    read_callback(body(MO) + b"&" + hostile)


FIELDS = st.dictionaries(st.sampled_from([*MO, *NOTICE, "type", "ſTATUS", ""]), st.text(max_size=200))


@given(FIELDS, st.sampled_from(["MO_MESSAGE", "SMS", ""]))
def test_no_fields_make_it_raise_and_what_is_read_is_whole(fields: dict[str, str], kind: str) -> None:
    pairs = {**fields, "TYPE": kind}
    encoded = "&".join(
        f"{quote(name, errors='replace')}={quote(text, errors='replace')}" for name, text in pairs.items()
    )
    read = read_callback(encoded.encode())
    if isinstance(read, InboundMessage):
        assert read.sender
        assert read.text
    elif read is not None:
        assert read.message_id
        assert read.to != ""
