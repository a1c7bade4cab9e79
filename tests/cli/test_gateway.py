"""`otp-service gateway call`."""

import re
from pathlib import Path

import pytest

from otp_service.gateways.ogangi.methods import METHODS
from tests.support.processes import Done, here, run, service_settings
from tests.support.servers import free_port
from tests.support.vendor import PRIVATE_KEY, PUBLIC_KEY, SENDER, Vendor

TO = "+573105550147"
BARE = TO.removeprefix("+")
TEXT = "Your PIN is 482913"


@pytest.fixture
def settings(vendor: Vendor) -> dict[str, str]:
    """The settings of the simulator; there is no database, which no call needs."""
    return service_settings("sqlite:///none.db", vendor)


def called(settings: dict[str, str], *arguments: str) -> Done:
    done = here("gateway", "call", *arguments, settings=settings)
    for secret in (PRIVATE_KEY, PUBLIC_KEY, "Traceback"):
        assert secret not in done.out + done.err
    return done


def refused(settings: dict[str, str], *arguments: str) -> str:
    """The one line on standard error of a call that must end with 1."""
    done = called(settings, *arguments)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    return line


SENDS = [
    ("sendSMSPinMobileNumberConfirm", "length=6"),
    ("sendSMS",),
    ("sendMT",),
    ("sendMT", "carrier=7"),
    ("sendMT", "--flags", "a=1"),
    ("sendMT-flags", "flags=a=1"),
]


@pytest.mark.parametrize("arguments", SENDS, ids=" ".join)
@pytest.mark.parametrize("number", [TO, BARE], ids=["plus", "digits"])
def test_a_sending_method_sends(
    settings: dict[str, str], vendor: Vendor, arguments: tuple[str, ...], number: str
) -> None:
    done = called(settings, *arguments, f"mobileNumber={number}", f"text={TEXT} {number}")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("outcome: accepted\n")
    assert "status: OK\ndescription: Completed\n" in done.out
    newest = vendor.messages()[0]
    assert (newest["to"], newest["from"]) == (TO, SENDER)
    assert newest["text"].startswith(f"{TEXT} {number}")


def test_what_identifies_a_person_is_masked_unless_it_is_asked_for(settings: dict[str, str], vendor: Vendor) -> None:
    arguments = ("sendSMS", f"mobileNumber={TO}", f"text={TEXT}")
    masked, shown = called(settings, *arguments).out, called(settings, *arguments, "--show").out
    for secret in ("482913", BARE, BARE[-4:], SENDER, "Your"):
        assert secret not in masked
        assert secret in shown
    assert re.search(r"\n      to: \*\*\*\*\n      text: \*\*\*\*\n      status: SENT_TO_CARRIER\n", masked)
    assert re.search(r"\n      date: 20\d\d-\d\d-\d\d \d\d:", masked)
    assert re.search(r"\n      id: \*\*\*\*\n", masked)
    done = called(settings, "sendSMSPinMobileNumberConfirm", f"mobileNumber={TO}", "text=x", "length=6")
    assert "    pin: ****\n" in done.out
    assert vendor.messages()[0]["pin"] not in done.out


def test_the_campaign_is_told(settings: dict[str, str], vendor: Vendor) -> None:
    for method in ("fireMessage", "fireMessage-POST"):
        done = called(settings, method, f"mobileNumber={TO}", "text=STOP")
        assert (done.code, done.err) == (0, "")
        assert (vendor.fired()[0]["to"], vendor.fired()[0]["text"]) == (TO, "STOP")
        assert BARE not in done.out


def test_the_reading_methods_read(settings: dict[str, str], vendor: Vendor) -> None:
    vendor.mo(TO, "my secret 48 29 13")
    listed = called(settings, "getMOMessages", f"parameters=from={BARE}&order=desc", "resultsPerPage=1")
    assert listed.code == 0
    assert "secret" not in listed.out
    assert "48" not in re.sub(r"sendDate: .*|records: .*", "", listed.out)
    assert "my secret 48 29 13" in called(settings, "getMOMessages", f"parameters=from={BARE}", "--show").out
    sent = called(settings, "sendSMS", f"mobileNumber={TO}", "text=x", "--show").out
    message_id = sent.split("      id: ")[1].split("\n")[0]
    assert "status: SENT_TO_CARRIER" in called(settings, "getMessage", f"messageId={message_id}").out
    report = called(settings, "messageReport", "initialDate=0", "finalDate=9999999999999", f"parameters=to={BARE}")
    assert (report.code, BARE in report.out) == (0, False)
    vendor.blacklist(TO)
    assert "    text: true\n" in called(settings, "isUserInBlackList", f"mobilenumber={TO}").out


@pytest.mark.parametrize(
    ("fault", "outcome", "advice"),
    [
        ("refuse", "refused", "check the instance id"),
        ("bad_signature", "refused", "check the public key"),
        ("http_404", "refused (http_404)", "check that the base URL"),
        ("unknown", "unknown (http_500)", "HTTP status 500"),
        ("malformed", "unknown (unreadable)", "not the Campaign Manager"),
    ],
)
def test_what_went_wrong_is_one_line_and_exit_1(
    settings: dict[str, str], vendor: Vendor, fault: str, outcome: str, advice: str
) -> None:
    vendor.fail("mt", fault)
    done = called(settings, "sendMT", f"mobileNumber={TO}", f"text={TEXT}")
    assert done.code == 1
    assert done.out.startswith(f"outcome: {outcome}\n")
    assert advice in done.err
    assert len(done.err.splitlines()) == 1


def test_no_connection_and_a_text_too_long_are_said(settings: dict[str, str]) -> None:
    nowhere = {**settings, "OTP_OGANGI_BASE_URL": f"http://127.0.0.1:{free_port()}"}
    assert "No connection to the gateway" in refused(nowhere, "sendMT", f"mobileNumber={TO}", "text=x")
    assert "shorten it" in refused(settings, "sendMT", f"mobileNumber={TO}", f"text={'x' * 7000}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sendFax",), "no method sendFax; it has sendSMSPinMobileNumberConfirm, "),
        (("sendMT", "text=x"), "sendMT needs mobileNumber (E.164, such as"),
        (("sendMT", f"mobileNumber={TO}", "text=x", "length=6"), "sendMT has no length; it has instanceId, "),
        (("getMessage", "messageId=1", "--flags", "x"), "getMessage has no flags"),
        (("sendMT", "mobileNumber"), "as NAME=VALUE"),
        (("sendMT", "=x"), "as NAME=VALUE"),
        (("sendMT", "text=x", "text=y"), "once, as NAME=VALUE"),
        (("sendMT", "mobileNumber=five", "text=x"), "mobileNumber must be E.164"),
        (("sendMT", f"mobileNumber={TO}", "text=x", "from=a/b"), "from must not hold any of"),
        (("sendSMSPinMobileNumberConfirm", f"mobileNumber={TO}", "text=x", "length=3"), "length must be 4 to 10"),
    ],
    ids=range(10),
)
def test_what_is_missing_or_wrong_is_named(
    settings: dict[str, str], vendor: Vendor, arguments: tuple[str, ...], said: str
) -> None:
    before = vendor.messages()
    line = refused(settings, *arguments)
    assert said in line
    assert TO not in line
    assert vendor.messages() == before


def test_without_a_known_carrier_it_is_asked_for(settings: dict[str, str]) -> None:
    without = {name: value for name, value in settings.items() if name != "OTP_OGANGI_CARRIER"}
    assert "sendSMS needs carrier (the operator's name" in refused(without, "sendSMS", f"mobileNumber={TO}", "text=x")
    done = called(without, "sendSMS", f"mobileNumber={TO}", "text=x", "carrier=Tigo Une")
    assert done.code == 0
    assert "carrier: Tigo Une" in done.out


@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["nothing", "help"])
def test_the_help_lists_every_method_and_says_that_it_sends(arguments: tuple[str, ...]) -> None:
    done = called({}, *arguments)
    assert done.code == 0
    assert "really send" in done.out
    for name, method in METHODS.items():
        (row,) = [line for line in done.out.splitlines() if line.split()[:1] == [name]]
        assert all(each.name in row for each in method.url)


@pytest.mark.long
def test_it_runs_as_a_command_of_its_own(settings: dict[str, str], tmp_path: Path) -> None:
    done = run("gateway", "call", "sendMT", f"mobileNumber={TO}", "text=x", settings=settings, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert list(tmp_path.iterdir()) == []
