"""What the reading methods list, in every shape that the vendor's pages show and some that nobody should trust."""

import pytest

from otp_service.gateways.base import InboundMessage, Receipt
from otp_service.gateways.ogangi import records, replies

OK = "<input>x</input><status>OK</status><description>Completed</description>"


def parsed(result: str) -> replies.Reply:
    reply = replies.parse(f"<response>{OK}{result}</response>".encode(), is_list=True)
    assert reply is not None
    return reply


def mo(text: str, sender: str = "13056708084", date: str = "2014-10-13 10:30:51.922") -> str:
    fields = f"<from>{sender}</from><to>12345</to><encoding>UTF-8</encoding><keyword>x</keyword>"
    return f"<MOMessage><text>{text}</text>{fields}<carrier>Movistar</carrier><sendDate>{date}</sendDate></MOMessage>"


def listed(*messages: str, end: str = "</MOMessageList>") -> str:
    return (
        f"<result><MOMessageList><records>{len(messages)}</records>"
        f"<MessageList>{''.join(messages)}</MessageList>{end}</result>"
    )


def texts(body: str | bytes) -> list[str] | None:
    reply = replies.parse(body.encode() if isinstance(body, str) else body, is_list=True)
    found = records.incoming(reply) if reply else None
    return None if found is None else [each.text for each in found]


@pytest.mark.parametrize("date", ["2014-10-13 10:30:51.922", "2014-10-13T10:30:51.922-0500"])
def test_a_listed_message_comes_from_the_handset_as_the_sample_says(date: str) -> None:
    assert records.incoming(parsed(listed(mo("STOP", date=date)))) == [
        InboundMessage(sender="13056708084", to="12345", text="STOP", sent=date, sent_at=1413196251.922)
    ]


@pytest.mark.parametrize(
    ("date", "sent_at"),
    [
        ("2014-10-13 10:30:51.9", 1413196251.9),
        ("2014-10-13T10:30:51.900+05:30", 1413196251.9),
        ("2014-10-13T10:30:51.900Z", 1413196251.9),
        ("", None),
        ("13/10/2014", None),
        ("9" * 5000, None),
    ],
)
def test_a_date_is_the_gateways_wall_clock_in_either_form(date: str, sent_at: float | None) -> None:
    (text,) = records.incoming(parsed(listed(mo("STOP", date=date)))) or []
    assert text.sent_at == sent_at


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("I <3 you", "I <3 you"),
        ("STOP <3", "STOP <3"),
        ("Tom & Jerry", "Tom & Jerry"),
        ("&a; &amp; &#65;", "&a; & A"),
        ("<b>STOP", "<b>STOP"),
        ("</text>", "</text>"),
        ("x</text><from>573009999999", "x"),
    ],
)
def test_markup_that_a_person_texts_makes_nothing_else_unreadable(written: str, read: str) -> None:
    for end in ("</MOMessageList>", "<MOMessageList>"):
        body = f"<response>{OK}{listed(mo('first'), mo(written), mo('I <3 you'), mo('last'), end=end)}</response>"
        assert texts(body) == ["first", read, "I <3 you", "last"]


def test_a_person_cannot_write_the_sender_of_a_text() -> None:
    forged = "STOP</text><from>573009999999</from><text>x"
    for text in (forged, f"{forged} <3"):
        found = records.incoming(parsed(listed(mo(text)))) or []
        assert "573009999999" not in {each.sender for each in found}


@pytest.mark.parametrize(
    "body",
    [
        OK + listed(mo("STOP")),
        f"<response>{OK}{listed(mo('STOP'))}</response>",
        f'<?xml version="1.0"?><response>{OK}{listed(mo("STOP"))}</response>',
        f"<response>{OK}{listed(mo('STOP'), end='<MOMessageList>')}</response>",
        OK + listed(mo("STOP"), end="<MOMessageList>"),
        f"{OK}<result><MOMessageList>{mo('STOP')}</MOMessageList></result>",
    ],
    ids=["rootless", "response", "declared", "typo", "rootless-typo", "without-message-list"],
)
def test_every_shape_of_the_list_is_read(body: str) -> None:
    assert texts(body) == ["STOP"]


@pytest.mark.parametrize(
    "result", ["<result/>", listed(), "<result><MOMessageList><records>0</records></MOMessageList></result>"]
)
def test_a_list_may_be_empty(result: str) -> None:
    assert records.incoming(parsed(result)) == []


def test_without_a_result_there_is_no_list() -> None:
    assert records.incoming(parsed("")) is None
    assert records.receipts(parsed("")) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a\x01b", "a\ufffdb"),
        ("a\x00b", "a\ufffdb"),
        ("a\x1bb", "a\ufffdb"),
        ("\ufffe", "\ufffd"),
        ("&#0;", "\ufffd"),
        ("&#x1;", "\ufffd"),
        ("&#xD800;", "\ufffd"),
        ("&#55357;&#56832;", "\ufffd\ufffd"),
        ("&#xFFFE;", "\ufffd"),
        ("&#1114112;", "\ufffd"),
        (f"&#{'9' * 5000};", "\ufffd"),
        (f"&#x{'0' * 5000}41;", "A"),
        ("&#65;&#x42;&#128512;&amp;#1;", "AB\U0001f600&#1;"),
        ("<![CDATA[<b>&x;]]>", "<b>&x;"),
        ("tab\tline\n", "tab\tline\n"),
    ],
    ids=range(15),
)
def test_what_a_person_can_text_leaves_the_list_readable(written: str, read: str) -> None:
    body = f"<response>{OK}{listed(mo('first'), mo(written), mo('last'))}</response>"
    assert texts(body) == ["first", read, "last"]


def test_bytes_that_are_no_utf8_leave_the_list_readable() -> None:
    body = f"<response>{OK}{listed(mo('first'), mo('X'), mo('last'))}</response>".encode()
    assert texts(body.replace(b">X<", b">\xff\xfe<")) == ["first", "\ufffd\ufffd", "last"]


def test_a_send_is_not_read_with_such_mercy() -> None:
    body = f"<response>{OK}<result><messages>\x01</messages></result></response>".encode()
    assert replies.parse(body) is None
    assert replies.parse(body, is_list=True) is not None


def test_odd_entries_neither_hide_the_others_nor_shorten_the_page() -> None:
    odd = ["<MOMessage/>", mo("", sender=""), mo("promo", sender="CLARO"), mo("x" * 50_000), mo("y", sender="-57300")]
    found = records.incoming(parsed(listed(mo("STOP"), *odd, mo("START"))))
    assert found is not None
    assert [each.sender for each in found] == ["13056708084", "", "", "CLARO", "13056708084", "-57300", "13056708084"]
    assert (found[0].text, found[-1].text) == ("STOP", "START")


@pytest.mark.parametrize(
    "body",
    [
        f"<!DOCTYPE r><response>{OK}{listed(mo('STOP'))}</response>",
        f'<!DOCTYPE r [<!ENTITY a "b">]><response>{OK}{listed(mo("&a;"))}</response>',
        f"<response>{OK}{listed(mo('STOP'))}",
        f"<response>{OK}<result><MOMessageList><MOMessageList></result></response><r>",
        "<html><body>Maintenance<br></body></html>",
        "",
    ],
    ids=range(6),
)
def test_an_ill_list_is_unreadable(body: str) -> None:
    assert replies.parse(body.encode(), is_list=True) is None


def message(**fields: str) -> str:
    shown = {"id": "-81", "from": "12345", "to": "13056708084", "text": "Acme", "status": "DELIVRD", **fields}
    inside = "".join(f"<{name}>{text}</{name}>" for name, text in shown.items() if text)
    return f"<message>{inside}</message>"


def test_a_report_names_the_fate_of_each_message() -> None:
    rows = [message(), message(id="-82", status="BAD ADDRESS"), message(id=""), message(status=""), message(text="")]
    found = records.receipts(parsed(f"<result><messages><records>5</records>{''.join(rows)}</messages></result>"))
    delivered = Receipt("-81", "delivered", to="13056708084", text="Acme")
    failed = Receipt("-82", "failed", to="13056708084", text="Acme")
    assert found == [delivered, failed, None, None, Receipt("-81", "delivered", to="13056708084", text=None)]


@pytest.mark.parametrize("inside", [message(), f"<messages>{message()}</messages>"], ids=["bare", "in-messages"])
def test_one_message_names_its_fate(inside: str) -> None:
    read = records.receipt(parsed(f"<result>{inside}</result>"))
    assert read == Receipt("-81", "delivered", to="13056708084", text="Acme")


@pytest.mark.parametrize("inside", ["", message() + message(), message(status=""), message(id="")], ids=range(4))
def test_no_message_or_two_are_none(inside: str) -> None:
    assert records.receipt(parsed(f"<result>{inside}</result>")) is None


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("<text>true</text><blackListType>GLOBAL</blackListType>", True),
        ("<text> FALSE </text>", False),
        *((odd, None) for odd in ("", "<text/>", "<text>yes</text>", "<text>1</text>", "true")),
    ],
)
def test_a_blacklist_says_true_or_false_or_nothing(said: str, read: bool | None) -> None:
    assert records.is_blacklisted(parsed(f"<result><userBlackList>{said}</userBlackList></result>")) is read


def test_two_blacklists_say_nothing() -> None:
    one = "<userBlackList><text>true</text></userBlackList>"
    assert records.is_blacklisted(parsed(f"<result>{one}{one}</result>")) is None
    assert records.is_blacklisted(parsed("<result/>")) is None


def test_a_receipt_and_a_text_show_no_secret() -> None:
    shown = repr((records.incoming(parsed(listed(mo("482913")))), records.receipt(parsed(message(text="482913")))))
    for secret in ("482913", "13056708084", "-81"):
        assert secret not in shown
