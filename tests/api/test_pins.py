"""The PIN of a check: digits that a person typed, or a refusal that spends and compares nothing."""

import json

import pytest

from otp_service.api.kit.examples import of_error
from tests.api.support import nothing_counted, post, problem, wrong_fields
from tests.support.service import Service, serving, wrong
from tests.support.vendor import Vendor


def in_other_digits(pin: str, zero: str) -> str:
    return "".join(chr(ord(zero) + int(digit)) for digit in pin)


async def check(service: Service, started: dict[str, str], pin: str) -> tuple[int, str]:
    """The status and the text of a check with this JSON as its PIN."""
    answer = await post(service, f"/v1/verifications/{started['id']}/checks", f'{{"pin": {pin}}}')
    if answer.status_code == 422:
        assert wrong_fields(answer) == ["pin"]
    else:
        problem(answer, 400, "malformed")
    return answer.status_code, answer.text


async def test_what_is_no_string_of_digits_is_refused_and_spends_nothing(shared: Service) -> None:
    started = await shared.api.start()
    pin = shared.pin(started["to"])
    async with nothing_counted(shared):
        for value in (
            f'["{pin}"]', f'{{"pin": "{pin}"}}', "[]", "{}", str(int(pin)), f"1{pin}.0", "1e5", "1e999", "-0", "true",
            "false", "null", '""', '" "', '"------"', '"null"', '"abcdef"', f'"{"1" * 5000}"', f'"{pin[:5]}"',
            f'"{pin}0"', f'"{pin * 2}"', f'"+{pin}"', f'"{pin}.0"', f'"0x{pin}"', f'"{pin[:3]}_{pin[3:]}"',
            f'"{pin[:3]},{pin[3:]}"',
        ):  # fmt: skip
            status, text = await check(shared, started, value)
            assert status == 422, value
            assert pin not in text
    assert await shared.api.check(started["id"], pin) == "approved"


async def test_what_json_cannot_say_is_malformed_and_spends_nothing(shared: Service) -> None:
    started = await shared.api.start()
    pin = shared.pin(started["to"])
    async with nothing_counted(shared):
        for value in (
            "NaN",
            "Infinity",
            "0123456",
            "9" * 5000,
            '"\\ud800"',
            f'"{pin}", "pin": "{pin}"',
            f"'{pin}'",
            "",
        ):
            status, text = await check(shared, started, value)
            assert status == 400, value
            assert pin not in text
    assert (await shared.api.read(started["id"]))["attempts_left"] == 5


async def test_what_stands_around_or_between_the_digits_is_refused(shared: Service) -> None:
    started = await shared.api.start()
    pin = shared.pin(started["to"])
    async with nothing_counted(shared):
        for odd in "\0\n\r\t\v\f\x1c\x85\u00a0\u200b\u200e\u2028\u2060\u3000\ufeff\u2010\u2212\u0301":
            for typed in (odd + pin, pin + odd, pin[:3] + odd + pin[3:]):
                assert (await check(shared, started, json.dumps(typed)))[0] == 422, ascii(typed)


async def test_digits_of_other_scripts_are_refused(shared: Service) -> None:
    started = await shared.api.start()
    pin = shared.pin(started["to"])
    async with nothing_counted(shared):
        for zero in "٠۰०０𝟎":
            assert (await check(shared, started, json.dumps(in_other_digits(pin, zero))))[0] == 422
        for typed in ("²" * 6, "①②③④⑤⑥", "五六七八九十"):
            assert (await check(shared, started, json.dumps(typed)))[0] == 422


@pytest.mark.parametrize("layout", ["{0} {1}", "{0}-{1}", " {0}{1} ", "-{0} - {1}-"])
async def test_spaces_and_hyphens_that_a_person_adds_are_dropped(shared: Service, layout: str) -> None:
    started = await shared.api.start()
    pin = shared.pin(started["to"])
    assert await shared.api.check(started["id"], layout.format(pin[:3], pin[3:])) == "approved"


async def test_a_missing_pin_is_named(shared: Service) -> None:
    started = await shared.api.start()
    async with nothing_counted(shared):
        assert wrong_fields(await post(shared, f"/v1/verifications/{started['id']}/checks", "{}")) == ["pin"]


async def test_a_refused_start_leaves_a_verification_that_no_pin_approves(sqlite_url: str, vendor: Vendor) -> None:
    async with serving(sqlite_url, vendor) as service:
        for method in ("pin", "sms", "mt"):
            vendor.fail(method, "refuse")
        answer = await service.api.try_start("+573009999999")
        refusal = problem(answer, 502, "gateway_failed")
        assert refusal["detail"] == of_error("gateway_failed", "verifications.start", "verification")["detail"]
        failed = refusal["verification_id"]
        for pin in ("000000", "123456", "999999"):
            assert await service.api.check(failed, pin) == "no_pin"
        for blank in ("", "null", None):
            assert wrong_fields(await service.api.try_check(failed, blank)) == ["pin"]


async def test_what_is_given_must_match_the_start_or_nothing_is_spent(shared: Service) -> None:
    started = await shared.api.start(session="browser-1")
    pin = shared.pin(started["to"])
    other = await shared.api.start()
    right = {"session": "browser-1", "to": started["to"], "purpose": "signup"}
    async with nothing_counted(shared):
        for wrongly in ({"session": None}, {"session": "browser-2"}, {"to": other["to"]}, {"purpose": "login"}):
            problem(await shared.api.try_check(started["id"], pin, **{**right, **wrongly}), 409, "mismatch")
        for invalid in ({"purpose": "a\0b"}, {"purpose": ""}, {"session": "a\0b"}, {"session": ""}):
            assert wrong_fields(await shared.api.try_check(started["id"], pin, **{**right, **invalid})) == [*invalid]
        problem(await shared.api.try_check(started["id"], pin, **{**right, "to": "x"}), 422, "invalid_number")
    assert await shared.api.check(started["id"], wrong(pin), **right) == "incorrect"
    assert await shared.api.check(started["id"], pin, **right) == "approved"
