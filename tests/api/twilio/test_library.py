"""Twilio's own Python library against the service: every call, and every error that a program can meet."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]

from tests.api.twilio.program import Program, new_client, program_of, refused
from tests.support.service import new_number, wrong
from tests.support.vendor import Vendor

CONFIG: dict[str, Any] = {
    "purposes": {"signup": {"brand": "Shop"}, "quick": {"resend_after": [0], "pin_length": 8}},
    "limits": {"pause_per_number": 0},
}


@pytest.fixture
def program(database_url: str, vendor: Vendor) -> Iterator[Program]:
    with program_of(database_url, vendor, CONFIG, public_url="https://otp.example.com") as running:
        yield running


def test_a_number_is_verified(program: Program) -> None:
    to = new_number()
    started = program.start(to, locale="es", device_ip="192.0.2.7", tags='{"a": "b"}', rate_limits={"ip": "192.0.2.7"})
    assert re.fullmatch("VE[0-9a-f]{32}", started.sid)
    assert (started.service_sid, started.account_sid) == ("signup", program.key.id)
    assert (started.to, started.channel, started.status, started.valid) == (to, "sms", "pending", False)
    assert (started.lookup, started.amount, started.payee, started.sna) == ({}, None, None, None)
    assert started.url == f"https://otp.example.com/v2/Services/signup/Verifications/{started.sid}"
    assert abs((datetime.now(UTC) - started.date_created).total_seconds()) < 600
    (attempt,) = started.send_code_attempts
    assert attempt["channel"] == "sms"
    assert re.fullmatch("VL[0-9a-f]{32}", attempt["attempt_sid"])
    assert attempt["time"]

    pin = program.pin(to)
    check = program.check(wrong(pin), to=to)
    assert (check.sid, check.status, check.valid) == (started.sid, "pending", False)
    check = program.check(pin, to=to)
    assert (check.sid, check.service_sid, check.account_sid) == (started.sid, "signup", program.key.id)
    assert (check.to, check.channel, check.status, check.valid) == (to, "sms", "approved", True)
    assert check.date_updated >= check.date_created == started.date_created
    fetched = started.fetch()
    assert (fetched.sid, fetched.status, fetched.valid) == (started.sid, "approved", True)
    with refused(404, 20404):
        program.check(pin, to=to)


def test_the_client_can_be_named_instead_of_its_id(program: Program) -> None:
    service = program.client(user="shop").verify.v2.services("signup").fetch()
    assert (service.sid, service.account_sid) == ("signup", program.key.id)


def test_a_purpose_is_a_service(program: Program) -> None:
    service = program.service("quick").fetch()
    assert (service.sid, service.friendly_name, service.code_length) == ("quick", "Example", 8)
    assert service.url == "https://otp.example.com/v2/Services/quick"
    assert service.custom_code_enabled is False
    assert program.service().fetch().friendly_name == "Shop"


def test_the_sid_stands_for_the_same_verification_as_its_id(program: Program) -> None:
    to = new_number()
    bearer = {"Authorization": f"Bearer {program.key.api_key}"}
    body = {"to": to, "purpose": "signup"}
    created = program.call("POST", "/v1/verifications", json=body, headers=bearer, auth=None).json()
    program.shift(30)
    resent = program.start(to)
    read = program.call("GET", f"/v1/verifications/{created['id']}", headers=bearer, auth=None).json()
    assert read["sends_left"] == created["sends_left"] - 1
    assert len(resent.send_code_attempts) == 2
    program.service().verifications(resent.sid).update(status="canceled")
    read = program.call("GET", f"/v1/verifications/{created['id']}", headers=bearer, auth=None).json()
    assert read["status"] == "canceled"


def test_a_start_while_one_is_pending_is_a_resend_of_it(program: Program) -> None:
    to = new_number()
    first = program.start(to)
    with refused(429, 20429):
        program.start(to)
    attempts = [first.send_code_attempts]
    for _ in range(2):
        program.shift(60)
        again = program.start(to)
        assert again.sid == first.sid
        attempts.append(again.send_code_attempts)
    assert [len(each) for each in attempts] == [1, 2, 3]
    assert attempts[2][:2] == attempts[1]
    assert len({each["attempt_sid"] for each in attempts[2]}) == 3
    assert len(program.vendor.messages(to)) == 3
    program.shift(60)
    with refused(429, 60203):
        program.start(to)
    assert program.check(program.pin(to), to=to).valid


def test_a_wait_is_told_in_retry_after(program: Program) -> None:
    to = {"To": new_number(), "Channel": "sms"}
    path = "/v2/Services/signup/Verifications"
    assert program.call("POST", path, to).status_code == 201
    answer = program.call("POST", path, to)
    assert (answer.status_code, answer.json()["code"]) == (429, 20429)
    assert 25 <= int(answer.headers["Retry-After"]) <= 30


def test_a_check_can_name_the_verification(program: Program) -> None:
    to = new_number()
    started = program.start(to)
    pin = program.pin(to)
    assert not program.check(wrong(pin), verification_sid=started.sid).valid
    with refused(404, 20404):
        program.check(pin, verification_sid=started.sid, to=new_number())
    assert program.check(pin, verification_sid=started.sid, to=to).valid
    with refused(404, 20404):
        program.check(pin, verification_sid=started.sid)


def test_checks_end_when_the_attempts_are_spent(program: Program) -> None:
    to = new_number()
    started = program.start(to)
    pin = program.pin(to)
    assert [program.check(wrong(pin), to=to).status for _ in range(5)] == ["pending"] * 5
    for whose in ({"to": to}, {"verification_sid": started.sid}):
        with refused(429, 60202):
            program.check(pin, **whose)
    assert started.fetch().status == "max_attempts_reached"
    program.shift(601)
    with refused(404, 20404):
        program.check(pin, to=to)


def test_wrong_checks_in_a_row_make_the_number_wait(program: Program) -> None:
    to = new_number()
    for _ in range(2):
        program.start(to)
        pin = program.pin(to)
        for _ in range(5):
            program.check(wrong(pin), to=to)
    with refused(429, 20429):
        program.start(to)
    program.shift(31)
    program.start(to)
    pin = program.pin(to)
    program.check(wrong(pin), to=to)
    with refused(429, 20429):
        program.check(pin, to=to)
    program.shift(61)
    assert program.check(pin, to=to).valid


def test_a_verification_can_be_canceled(program: Program) -> None:
    to = new_number()
    started = program.start(to)
    with refused(400, 60200):
        started.update(status="approved")
    assert started.fetch().status == "pending"
    assert started.update(status="canceled").status == "canceled"
    assert started.update(status="canceled").status == "canceled"
    with refused(404, 20404):
        program.check(program.pin(to), to=to)
    assert program.start(to).sid != started.sid


def test_an_approved_verification_cannot_be_canceled(program: Program) -> None:
    to = new_number()
    started = program.start(to)
    program.check(program.pin(to), to=to)
    with refused(404, 20404):
        started.update(status="canceled")


def test_a_verification_expires(program: Program) -> None:
    to = new_number()
    started = program.start(to)
    program.shift(601)
    assert started.fetch().status == "expired"
    with refused(404, 20404):
        program.check(program.pin(to), to=to)
    assert program.start(to).sid != started.sid


def test_a_start_that_the_gateway_refuses_has_failed(program: Program) -> None:
    to = new_number()
    program.vendor.fail("*", "refuse", times=3)
    with refused(503, 20503):
        program.start(to)
    with refused(404, 20404):
        program.check("123456", to=to)
    assert len(program.start(to).send_code_attempts) == 1


def test_a_number_that_takes_no_sms_is_refused(program: Program) -> None:
    for to in ("+57300", "573001234567", "ana@example.com", "+870772001234"):
        with refused(400, 60200):
            program.start(to)
        with refused(400, 60200):
            program.check("123456", to=to)
    with refused(400, 60205):
        program.start("+576012345678")


def test_a_country_that_is_not_served_is_refused(migrated: str, vendor: Vendor) -> None:
    with program_of(migrated, vendor, countries="US") as program, refused(403, 60605):
        program.start(new_number())


def test_a_number_that_has_opted_out_is_refused(program: Program) -> None:
    to = new_number()
    bearer = {"Authorization": f"Bearer {program.key.api_key}"}
    program.call("POST", "/v1/opt-outs", json={"to": to}, headers=bearer, auth=None)
    with refused(400, 21610):
        program.start(to)


UNSUPPORTED: tuple[dict[str, Any], ...] = (
    {"channel": "call"},
    {"channel": "sms", "custom_code": "123456"},
    {"channel": "sms", "custom_message": "Hello"},
    {"channel": "sms", "amount": "10", "payee": "Shop"},
    {"channel": "sms", "locale": "not a locale"},
    {"channel": "sms", "device_ip": "here"},
)


def test_what_the_service_does_not_do_is_refused(program: Program) -> None:
    to = new_number()
    for fields in UNSUPPORTED:
        with refused(400, 60200):
            program.service().verifications.create(to=to, **fields)
    assert program.vendor.messages(to) == []


def test_a_malformed_code_uses_no_attempt(program: Program) -> None:
    to = new_number()
    program.start(to)
    for code in ("", "12", "12345", "abcdef", "1234567", "١٢٣٤٥٦"):
        with refused(400, 60200):
            program.check(code, to=to)
    assert program.check(program.pin(to), to=to).valid


def test_an_unknown_service_or_sid_is_not_found(program: Program) -> None:
    to = new_number()
    started = program.start(to)
    for name in ("nobody", "VA0123456789abcdef0123456789abcdef", "signup%00", "quick"):
        with refused(404, 20404):
            program.service(name).verifications(started.sid).fetch()
        with refused(404, 20404):
            program.service(name).verifications(started.sid).update(status="canceled")
        with refused(404, 20404):
            program.service(name).verification_checks.create(verification_sid=started.sid, code="123456")
    for name in ("nobody", "VA0123456789abcdef0123456789abcdef", "signup%00"):
        with refused(404, 20404):
            program.service(name).fetch()
        with refused(404, 20404):
            program.service(name).verifications.create(to=to, channel="sms")
    for sid in ("VE" + 32 * "0", started.sid.upper(), started.sid + "0", "ver_1", started.sid + "%0A"):
        with refused(404, 20404):
            program.service().verifications(sid).fetch()
    assert started.fetch().status == "pending"


def test_a_wrong_user_or_key_is_refused(program: Program) -> None:
    other = asyncio.run(new_client(str(program.app.state.context.database.engine.url), "other"))
    for user, api_key in (
        (other.id, program.key.api_key),
        (program.key.id, other.api_key),
        (program.key.id, "otp_" + 43 * "x"),
        ("Shop", program.key.api_key),
    ):
        with refused(401, 20003):
            program.client(user, api_key).verify.v2.services("signup").fetch()


def test_another_client_finds_nothing(program: Program) -> None:
    to = new_number()
    started = program.start(to)
    key = asyncio.run(new_client(str(program.app.state.context.database.engine.url), "other"))
    service = program.client(key.id, key.api_key).verify.v2.services("signup")
    with refused(404, 20404):
        service.verifications(started.sid).fetch()
    with refused(404, 20404):
        service.verifications(started.sid).update(status="canceled")
    for whose in ({"to": to}, {"verification_sid": started.sid}):
        with refused(404, 20404):
            service.verification_checks.create(code=program.pin(to), **whose)
    assert program.check(program.pin(to), to=to).valid


@pytest.mark.both_databases
def test_of_right_checks_at_once_one_is_approved(program: Program) -> None:
    to = new_number()
    program.start(to)
    pin = program.pin(to)

    def result(_: int) -> str:
        try:
            return str(program.check(pin, to=to).status)
        except TwilioRestException as error:
            return str(error.code)

    with ThreadPoolExecutor(20) as pool:
        results = sorted(pool.map(result, range(20)))
    assert results.count("approved") == 1
    assert {*results} <= {"approved", "20404", "60202"}


def test_of_starts_at_once_one_sends(program: Program) -> None:
    to = new_number()

    def result(_: int) -> str:
        try:
            return str(program.start(to).status)
        except TwilioRestException as error:
            return str(error.code)

    with ThreadPoolExecutor(20) as pool:
        results = sorted(pool.map(result, range(20)))
    assert results == [*["20429"] * 19, "pending"]
    assert len(program.vendor.messages(to)) == 1
