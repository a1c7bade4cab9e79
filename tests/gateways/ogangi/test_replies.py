"""Reading replies: the shapes that the vendor sends, and those that nobody should believe."""

import pytest

from otp_service.gateways.ogangi import replies

PIN = "<result><PinSMSConfirmation><pin>123456</pin></PinSMSConfirmation></result>"
OK = "<input>x</input><status>OK</status><description>Completed</description>"


def pin_of(body: str) -> str | None:
    reply = replies.parse(body.encode())
    return replies.usable_pin(reply, 6) if reply else "unreadable"


@pytest.mark.parametrize(
    "body",
    [
        OK + PIN,
        f"<response>{OK}{PIN}</response>",
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<response>{OK}{PIN}</response>\n',
        f'\ufeff<?xml version="1.0"?>{OK}{PIN}',
        f"\n <response>{PIN}{OK}</response>",
        f"<response>{OK}<!-- a comment -->{PIN}</response>",
        OK + PIN.replace("123456", " 123456\n"),
    ],
)
def test_every_documented_shape_gives_the_pin(body: str) -> None:
    assert pin_of(body) == "123456"


@pytest.mark.parametrize("status", ["OK", "ERROR", "BAD_SIGNATURE"])
def test_the_three_statuses_are_read(status: str) -> None:
    reply = replies.parse(f"<status>\n{status} </status>".encode())
    assert reply is not None
    assert reply.status == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"OK",
        b"\xff\xfe\x00",
        b"<response/>",
        b"<status>ok</status>",
        b"<status>FINE</status>",
        b"<status><b>OK</b></status>",
        b"<status>OK</status><status>OK</status>",
        b"<status>OK</status><status>ERROR</status>",
        b"<response><status>ERROR</status></response><status>OK</status>",
        b"<response><status>OK</status></response><response><status>OK</status></response>",
        b"<status>OK</status></r><r>",
        b"<response><status>OK</status>",
        b"<!DOCTYPE response><response><status>OK</status></response>",
        b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "OK">]><status>&a;</status>',
        b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/hostname">]><status>&a;</status>',
        b"<status>&a;</status>",
        b"<html><body><p>Maintenance<br></body></html>",
        b"<html><body><status>OK</status></body></html>",
        "<response><status>OK</status></response>".encode("utf-16"),
        "<response><status>OK</status></response>".encode("utf-32"),
        b"<a>" * 9000 + b"<status>OK</status>" + b"</a>" * 9000,
        b"<a>" * 20000,
    ],
)
def test_what_is_no_reply_is_unreadable(body: bytes) -> None:
    assert replies.parse(body) is None


@pytest.mark.parametrize(
    "result",
    [
        "",
        "<result/>",
        "<result><pin>123456</pin></result>",
        "<pin>123456</pin>",
        "<PinSMSConfirmation><pin>123456</pin></PinSMSConfirmation>",
        PIN + PIN,
        PIN + "<pin>123456</pin>",
        PIN + "<x><PIN>654321</PIN></x>",
        PIN + '<x xmlns:v="v"><v:pin>654321</v:pin></x>',
        PIN.replace("</pin>", "</pin><pin>654321</pin>"),
        PIN.replace("123456", "<b>123456</b>"),
        PIN.replace("123456", "123456<b/>"),
        *(PIN.replace("123456", pin) for pin in ("", "12345", "1234567", "12a456", "-12345")),
        *(PIN.replace("123456", pin) for pin in ("１２３４５６", "١٢٣٤٥٦", "12345²", "123 456", "null", "+12345")),
    ],
)
def test_no_other_pin_is_usable(result: str) -> None:
    assert pin_of(f"<response>{OK}{result}</response>") is None


def test_sent_messages_carry_opaque_ids_and_their_own_status() -> None:
    message = "<message><id>-81</id><status>SENT</status></message><message><id>a</id></message>"
    reply = replies.parse(f"{OK}<result><messages>{message}</messages></result>".encode())
    assert reply is not None
    assert replies.sent_messages(reply) == [replies.SentMessage("-81", "SENT"), replies.SentMessage("a", None)]


def test_a_message_id_is_bounded() -> None:
    message = f"<message><id>{'9' * 5000}</id></message>"
    reply = replies.parse(f"{OK}<result><messages>{message}</messages></result>".encode())
    assert reply is not None
    assert replies.sent_messages(reply)[0].id == "9" * 128


def test_a_reply_shows_no_pin() -> None:
    assert "123456" not in repr(replies.parse((OK + PIN).encode()))
