"""The wire protocol: what the simulator takes, and what it refuses as the vendor would."""

import httpx
import pytest

from otp_service.simulator.wire import Account, find_call
from tests.gateways.ogangi.vectors import NUMBER_BASE64, PRIVATE_KEY, PUBLIC_KEY, SIGNATURES, TEXT, TEXT_BASE64
from tests.simulator.conftest import Caller, base64, signed

ACCOUNT = Account("43", PUBLIC_KEY, PRIVATE_KEY)
PIN_METHOD = "tools/sendSMSPinMobileNumberConfirm"
PIN_CALL = f"43/Movistar/19893653744/13056708084/{TEXT_BASE64}/6"
METHODS = {
    PIN_CALL: ("GET", PIN_METHOD),
    f"43/Movistar/19893653744/13056708084/{TEXT_BASE64}==/6": ("GET", PIN_METHOD),
    f"43/Movistar/19893653744/{NUMBER_BASE64}/{TEXT_BASE64}": ("GET", "tools/sendSMS"),
    f"43/19893653744/null/13056708084/{TEXT_BASE64}": ("GET", "sendMT"),
    "43": ("POST", "fireMessage"),
    "43/1/20/from=13056708084&order=desc": ("GET", "tools/getMOMessages"),
    "43/-8174720676710228700": ("GET", "tools/getMessage"),
}


@pytest.mark.parametrize(("parameters", "verb", "method"), [(key, *value) for key, value in METHODS.items()])
def test_every_vector_is_signed_by_the_account(parameters: str, verb: str, method: str) -> None:
    call = find_call(verb, f"{method}/{parameters}/{PUBLIC_KEY}/{SIGNATURES[parameters]}")
    assert call is not None
    assert call.is_signed_by(ACCOUNT)
    assert not call.is_signed_by(Account("43", PUBLIC_KEY, "another"))
    assert call.values()["instance"] == "43"


async def test_the_pin_vector_delivers_its_text_with_a_pin_at_the_end(caller: Caller) -> None:
    answer = await caller.get(f"{PIN_METHOD}/{PIN_CALL}/{PUBLIC_KEY}/{SIGNATURES[PIN_CALL]}")
    assert "<status>OK</status>" in answer.text
    message = (await caller.messages())[0]
    assert message["text"] == TEXT + message["pin"]


@pytest.mark.parametrize(
    "tail",
    [
        f"{PIN_CALL}/{PUBLIC_KEY}/{'0' * 64}",
        f"{PIN_CALL}/{PUBLIC_KEY}/{SIGNATURES[PIN_CALL].upper()}",
        f"{PIN_CALL}/another/{SIGNATURES[PIN_CALL]}",
        f"{PIN_CALL.replace('Movistar', 'movistar')}/{PUBLIC_KEY}/{SIGNATURES[PIN_CALL]}",
        f"{PIN_CALL.replace('Movistar', '%4Dovistar')}/{PUBLIC_KEY}/{SIGNATURES[PIN_CALL]}",
        f"{PIN_CALL.replace('/6', '/8')}/{PUBLIC_KEY}/{SIGNATURES[PIN_CALL]}",
        f"{PIN_CALL}/{PUBLIC_KEY}/ñ",
    ],
)
async def test_another_signature_or_key_is_denied(caller: Caller, tail: str) -> None:
    answer = await caller.get(f"{PIN_METHOD}/{tail}")
    assert answer.status_code == 200
    assert "<status>BAD_SIGNATURE</status>" in answer.text
    assert await caller.messages() == []


T = base64("PIN {0}")
N = base64("13056708084")


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (PIN_METHOD, f"44/Movistar/19893653744/13056708084/{T}/6"),
        (PIN_METHOD, f"43/null/19893653744/13056708084/{T}/6"),
        (PIN_METHOD, f"43/19893653744/Movistar/13056708084/{T}/6"),
        (PIN_METHOD, f"43/Movistar/19893653744/+13056708084/{T}/6"),
        (PIN_METHOD, f"43/Movistar/19893653744/{N}/{T}/6"),
        *((PIN_METHOD, f"43/Movistar/19893653744/13056708084/{T}/{length}") for length in ("3", "11", "six", "", "-6")),
        *(
            (PIN_METHOD, f"43/Movistar/19893653744/13056708084/{t}/6")
            for t in ("", "PIN {0}", "ab+b", "abc=", "a", "_w")
        ),
        ("tools/sendSMS", f"43/Movistar/19893653744/13056708084/{T}"),
        ("tools/sendSMS", f"43/Movistar/19893653744/{base64('+13056708084')}/{T}"),
        ("tools/sendSMS", f"43/Movistar/19893653744/{N}/ab%2Fb"),
        ("tools/sendSMS", f"43/a%2Fb/19893653744/{N}/{T}"),
        ("tools/sendSMS", f"43/a%FFb/19893653744/{N}/{T}"),
        ("sendMT", f"43/null/19893653744/13056708084/{T}"),
        ("sendMT", f"43/19893653744/null/{N}/{T}"),
        ("tools/getMOMessages", "43/0/20/null"),
        ("tools/getMOMessages", "43/1/0/null"),
        ("tools/getMOMessages", "43/1/20/colour=red"),
        ("tools/getMOMessages", "43/1/20/order=up"),
        ("tools/getMOMessages", "43/1/20/from"),
        ("tools/getMessage", "43/-1"),
    ],
)
async def test_wrong_parameters_under_a_good_signature_are_an_error(
    caller: Caller, method: str, parameters: str
) -> None:
    answer = await caller.get(f"{method}/{signed(httpx.URL('http://x/' + parameters).raw_path.decode()[1:])}")
    assert answer.status_code == 200
    assert "<status>ERROR</status>" in answer.text
    assert await caller.messages() == []


@pytest.mark.parametrize(
    "path",
    [
        signed(PIN_CALL),
        f"sendSMSPinMobileNumberConfirm/{signed(PIN_CALL)}",
        f"{PIN_METHOD}/{signed(PIN_CALL + '/more')}",
        f"{PIN_METHOD}/{signed(PIN_CALL.removesuffix('/6'))}",
        f"tools/sendMT/{signed('43/19893653744/null/13056708084/' + T)}",
        "sendMT/",
        "",
    ],
)
async def test_another_method_or_count_of_segments_is_not_there(caller: Caller, path: str) -> None:
    assert (await caller.get(path)).status_code == 404


async def test_another_verb_is_not_allowed(caller: Caller) -> None:
    path = f"/mmc/rest/api/{PIN_METHOD}/{signed(PIN_CALL)}"
    assert (await caller.http.post(path)).status_code == 405
    assert (await caller.http.head(path)).status_code == 405
    assert await caller.messages() == []
