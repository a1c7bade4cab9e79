"""Challenges: an app, a phone, a recovery code or a remembered device; attempts and failures are the subject's."""

import asyncio
from collections import Counter
from typing import Any

import jwt
import pytest

from otp_service.services.factors import recovery_codes
from otp_service.storage.factors import subjects
from tests.support.factors import active_sms, client_id, new_totp, value, verify
from tests.support.patience import PATIENCE
from tests.support.service import Api, Service, new_number, serving, wrong
from tests.support.statements import told
from tests.support.vendor import Vendor

SUBJECT = "user-17"


async def start(service: Service, status: int = 201, **fields: Any) -> dict[str, Any]:
    """Returns the challenge of a start."""
    answer = await service.api.call("POST", "/v1/challenges", {"subject": SUBJECT, **fields})
    assert answer.status_code == status, answer.text
    challenge: dict[str, Any] = answer.json()
    return challenge


async def check(service: Service, challenge: dict[str, Any], pin: str, **fields: Any) -> dict[str, Any]:
    """Returns the answer to a check."""
    answer = await service.api.call("POST", f"/v1/challenges/{challenge['id']}/checks", {"pin": pin, **fields})
    assert answer.status_code == 200, answer.text
    checked: dict[str, Any] = answer.json()
    return checked


async def enrolled(service: Service, subject: str = SUBJECT) -> str:
    """Returns the secret of an active app, at a time whose value was not used yet."""
    factor = await new_totp(service, subject)
    assert factor.totp is not None
    assert (await verify(service, factor)).result == "approved"
    service.shift(60)
    return factor.totp.secret


async def codes(service: Service) -> list[str]:
    """Returns new recovery codes of the subject."""
    return list((await recovery_codes.replace(service.ctx, await client_id(service), SUBJECT, None)).codes)


def claims(checked: dict[str, Any]) -> dict[str, Any]:
    """Returns what a proof says."""
    decoded: dict[str, Any] = jwt.decode(checked["proof"], options={"verify_signature": False})
    return decoded


async def test_the_value_of_an_app_approves_once(service: Service) -> None:
    secret = await enrolled(service)
    challenge = await start(service)
    assert (challenge["factor"]["type"], challenge["delivery"]["status"]) == ("totp", None)
    checked = await check(service, challenge, value(service, secret))
    assert (checked["result"], checked["challenge"]["status"]) == ("approved", "approved")
    assert claims(checked)["amr"] == ["otp"]
    assert claims(checked)["sub"] == SUBJECT
    assert "phone_number" not in claims(checked)
    assert (await check(service, challenge, value(service, secret)))["result"] == "already_approved"


async def test_a_step_is_accepted_once_over_all_challenges(service: Service) -> None:
    secret = await enrolled(service)
    shown = value(service, secret)
    assert (await check(service, await start(service), shown))["result"] == "approved"
    challenge = await start(service)
    assert (await check(service, challenge, shown))["result"] == "incorrect"
    assert (await check(service, challenge, value(service, secret, -1)))["result"] == "incorrect"
    service.shift(30)
    assert (await check(service, challenge, value(service, secret)))["result"] == "approved"


async def test_the_first_value_of_an_app_is_not_accepted_again(service: Service) -> None:
    factor = await new_totp(service, SUBJECT)
    assert factor.totp is not None
    shown = value(service, factor.totp.secret)
    await verify(service, factor, shown)
    assert (await check(service, await start(service), shown))["result"] == "incorrect"


@pytest.mark.parametrize("steps", [-1, 0, 1])
async def test_one_step_on_either_side_is_accepted(service: Service, steps: int) -> None:
    secret = await enrolled(service)
    assert (await check(service, await start(service), value(service, secret, steps)))["result"] == "approved"


@pytest.mark.parametrize("steps", [-2, 2])
async def test_two_steps_are_too_many(service: Service, steps: int) -> None:
    secret = await enrolled(service)
    assert (await check(service, await start(service), value(service, secret, steps)))["result"] == "incorrect"


@pytest.mark.both_databases
async def test_of_fifty_right_values_at_once_on_two_replicas_one_is_accepted(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as one, serving(database_url, vendor) as two:
        replicas = [one.api, Api(two.http, one.api.api_key)]
        secret = await enrolled(one)
        two.shift(60)
        sessions = [f"s{number}" for number in range(10)]
        challenges = {session: await start(one, session=session) for session in sessions}
        pin = value(one, secret)

        async def one_check(number: int) -> str:
            session = sessions[number % 10]
            path, body = f"/v1/challenges/{challenges[session]['id']}/checks", {"pin": pin, "session": session}
            return str((await replicas[number % 2].call("POST", path, body)).json()["result"])

        results = Counter(await asyncio.gather(*(one_check(number) for number in range(50))))
        assert results["approved"] == 1
        assert set(results) <= {"approved", "incorrect", "locked", "already_approved", "exhausted"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_check_does_not_wait_for_a_change_of_the_subject(service: Service) -> None:
    await enrolled(service)
    challenge = await start(service)
    client = await client_id(service)
    with service.ctx.database.engine.begin() as tx:
        subject = subjects.find(tx, client, SUBJECT)
        assert subject is not None
        subjects.lock_row(tx, subject.id)
        async with asyncio.timeout(PATIENCE):  # the change could wait for the challenge, and each for the other
            assert (await check(service, challenge, "000000"))["result"] == "incorrect"


async def test_a_phone_gets_a_pin_that_approves(service: Service) -> None:
    to = new_number()
    await active_sms(service, SUBJECT, to)
    challenge = await start(service)
    assert (challenge["factor"]["type"], challenge["factor"]["hint"]) == ("sms", f"...{to[-2:]}")
    assert (challenge["delivery"]["status"], challenge["sends_left"]) == ("sent", 2)
    checked = await check(service, challenge, service.pin(to))
    assert (checked["result"], claims(checked)["amr"]) == ("approved", ["sms"])
    assert claims(checked)["phone_number"] == to


async def test_a_phone_gets_another_pin_by_a_resend_and_an_app_none(service: Service) -> None:
    to = new_number()
    await active_sms(service, SUBJECT, to)
    challenge = await start(service)
    service.shift(31)
    first = service.pin(to)
    answer = await service.api.call("POST", f"/v1/challenges/{challenge['id']}/resends")
    assert (answer.status_code, answer.json()["sends_left"]) == (200, 1)
    assert (await check(service, challenge, first))["result"] == "incorrect"
    assert (await check(service, challenge, service.pin(to)))["result"] == "approved"
    await enrolled(service, "other")
    app = (await service.api.call("POST", "/v1/challenges", {"subject": "other"})).json()
    answer = await service.api.call("POST", f"/v1/challenges/{app['id']}/resends")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_sms")


async def test_a_recovery_code_passes_any_challenge_once_in_any_spelling(service: Service) -> None:
    to = new_number()
    await active_sms(service, SUBJECT, to)
    first, second, *_ = await codes(service)
    checked = await check(service, await start(service), first.upper().replace("-", " "))
    assert (checked["result"], claims(checked)["amr"]) == ("approved", ["recovery_code"])
    assert "phone_number" not in claims(checked)
    assert (await check(service, await start(service), first))["result"] == "incorrect"
    only_codes = await start(service, factor="recovery_code", session="s")
    assert (only_codes["factor"], only_codes["delivery"]["status"]) == (None, None)
    assert (await check(service, only_codes, second, session="s"))["result"] == "approved"
    proof = {"proof": checked["proof"], "purpose": "login"}
    redeemed = await service.api.call("POST", "/v1/proofs/redeem", proof)
    assert (redeemed.status_code, redeemed.json()["to"], redeemed.json()["subject"]) == (200, None, SUBJECT)


@pytest.mark.both_databases
async def test_failures_count_at_the_subject_over_all_challenges(service: Service) -> None:
    secret = await enrolled(service)
    for number in range(10):
        challenge = await start(service, session=f"s{number}")
        wrong_value = wrong(value(service, secret))
        assert (await check(service, challenge, wrong_value, session=f"s{number}"))["result"] == "incorrect"
    challenge = await start(service)
    locked = await check(service, challenge, value(service, secret))
    assert (locked["result"], locked["challenge"]["attempts_left"]) == ("locked", 5)
    assert locked["retry_at"] is not None
    service.shift(31)
    assert (await check(service, challenge, value(service, secret)))["result"] == "approved"


async def test_who_locks_the_app_does_not_lock_recovery_codes_nor_the_other_way_round(service: Service) -> None:
    secret = await enrolled(service)
    code, other, *_ = await codes(service)
    for number in range(10):
        await check(
            service, await start(service, session=f"{number}"), wrong(value(service, secret)), session=f"{number}"
        )
    assert (await check(service, await start(service), code))["result"] == "approved"
    for number in range(5):
        challenge = await start(service, session=f"c{number}")
        assert (await check(service, challenge, "0000-0000-00", session=f"c{number}"))["result"] == "incorrect"
    challenge = await start(service)
    assert (await check(service, challenge, other))["result"] == "locked"
    assert (await check(service, challenge, value(service, secret)))["result"] == "approved"


async def test_a_challenge_of_a_phone_that_waits_sends_nothing_but_takes_a_recovery_code(service: Service) -> None:
    to = new_number()
    await active_sms(service, SUBJECT, to)
    code, *_ = await codes(service)
    for number in range(10):
        challenge = await start(service, session=f"{number}")
        await check(service, challenge, wrong(service.pin(to)), session=f"{number}")
    sent = len(service.vendor.messages(to))
    challenge = await start(service)
    assert (challenge["delivery"]["status"], len(service.vendor.messages(to))) == (None, sent)
    answer = await service.api.call("POST", f"/v1/challenges/{challenge['id']}/resends")
    assert (answer.status_code, answer.json()["limit"]) == (429, "failures_per_subject")
    assert (await check(service, challenge, code))["result"] == "approved"


async def test_a_pending_challenge_is_found_again_and_nothing_is_sent(service: Service) -> None:
    to = new_number()
    await active_sms(service, SUBJECT, to)
    first = await start(service, session="s")
    again = await start(service, 200, session="s")
    assert (again["id"], len(service.vendor.messages(to))) == (first["id"], 2)  # one of them enrolled it
    assert (await start(service, session="t"))["id"] != first["id"]


async def test_a_switch_keeps_the_attempts_and_ends_the_pin_that_was_sent(service: Service) -> None:
    to, secret = new_number(), await enrolled(service)
    app = (await start(service))["factor"]["id"]
    proof = (await check(service, await start(service, 200), value(service, secret)))["proof"]
    phone = await active_sms(service, SUBJECT, to, proof)
    challenge = await start(service)
    await check(service, challenge, "000000")
    path = f"/v1/challenges/{challenge['id']}/switch"
    switched = (await service.api.call("POST", path, {"factor": phone.id})).json()
    assert (switched["factor"]["id"], switched["attempts_left"], switched["delivery"]["status"]) == (
        phone.id,
        4,
        "sent",
    )
    assert [each["id"] for each in switched["factors"]] == [app]
    back = (await service.api.call("POST", path, {"factor": app})).json()
    assert (back["factor"]["id"], back["attempts_left"]) == (app, 4)
    service.shift(30)
    assert (await check(service, challenge, service.pin(to)))["result"] == "incorrect"
    assert (await check(service, challenge, value(service, secret)))["result"] == "approved"
    assert (await service.api.call("POST", path, {"factor": phone.id})).json()["code"] == "not_pending"


async def test_a_remembered_device_passes_at_once_but_not_a_password_reset(service: Service) -> None:
    secret = await enrolled(service)
    checked = await check(service, await start(service), value(service, secret), remember=True)
    device = checked["device"]
    passed = await start(service, device=device)
    assert (passed["status"], claims(passed)["amr"]) == ("approved", ["device"])
    assert (await start(service, device=device, purpose="password_reset"))["status"] == "pending"
    assert (await start(service, device=device + "x", session="s"))["status"] == "pending"
    await enrolled(service, "other")
    answer = await service.api.call("POST", "/v1/challenges", {"subject": "other", "device": device})
    assert answer.json()["status"] == "pending"
    service.shift(31 * 86400)
    assert (await start(service, device=device, session="t"))["status"] == "pending"


async def test_the_session_of_the_start_is_needed(service: Service) -> None:
    secret = await enrolled(service)
    challenge = await start(service, session="s")
    for fields in ({}, {"session": "t"}):
        body = {"pin": value(service, secret), **fields}
        answer = await service.api.call("POST", f"/v1/challenges/{challenge['id']}/checks", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "mismatch")
    assert (await check(service, challenge, value(service, secret), session="s"))["result"] == "approved"


async def test_a_subject_without_an_active_factor_has_no_challenge(service: Service) -> None:
    await new_totp(service, SUBJECT)
    assert (await start(service, 409))["code"] == "no_factor"
    assert (await start(service, 409, factor="fac_" + "x" * 22))["code"] == "no_factor"


async def test_a_decoy_looks_like_a_challenge_of_an_app(service: Service) -> None:
    secret = await enrolled(service, "real")
    real = (await service.api.call("POST", "/v1/challenges", {"subject": "real"})).json()
    decoy = await start(service, decoy=True)
    assert {name: type(field) for name, field in decoy.items()} == {name: type(field) for name, field in real.items()}
    assert decoy["factor"]["id"] != real["factor"]["id"]
    assert (await start(service, 200, decoy=True))["factor"] == decoy["factor"]
    for attempt in range(5):
        assert (await check(service, decoy, value(service, secret)))["challenge"]["attempts_left"] == 4 - attempt
    assert (await check(service, decoy, "123456"))["result"] == "exhausted"


@pytest.mark.parametrize("device", [None, "otpd_of_nobody"])
async def test_a_decoy_costs_the_database_as_much_as_a_challenge(service: Service, device: str | None) -> None:
    await enrolled(service)
    await start(service, decoy=True)
    statements: Counter[bool] = Counter()
    for decoy in (False, True):
        with told(service.ctx.database.engine, lambda *_, of=decoy: statements.update([of])):
            challenge = await start(service, session=f"{decoy}", decoy=decoy, device=device)
            assert (await check(service, challenge, "000000", session=f"{decoy}"))["result"] == "incorrect"
    assert statements[True] == statements[False]


async def test_a_decoy_of_a_recovery_code_looks_like_one_too(service: Service) -> None:
    await enrolled(service)
    real = await start(service, factor="recovery_code")
    decoy = await start(service, factor="recovery_code", decoy=True)
    assert real["factor"] is decoy["factor"] is None
    assert [each["type"] for each in real["factors"]] == [each["type"] for each in decoy["factors"]] == ["totp"]
    for challenge in (real, decoy):
        answer = await service.api.call("POST", f"/v1/challenges/{challenge['id']}/checks", {"pin": "000000"})
        assert answer.status_code == 422
        assert (await check(service, challenge, "0000-0000-00"))["result"] == "incorrect"


async def test_a_decoy_and_a_challenge_of_the_same_subject_are_never_the_same(service: Service) -> None:
    secret = await enrolled(service)
    challenge, decoy = await start(service), await start(service, decoy=True)
    assert decoy["id"] != challenge["id"]
    assert (await start(service, 200))["id"] == challenge["id"]
    assert (await check(service, decoy, value(service, secret)))["result"] == "incorrect"
    assert (await check(service, challenge, value(service, secret)))["result"] == "approved"


async def test_a_challenge_is_no_verification(service: Service) -> None:
    secret = await enrolled(service)
    challenge = await start(service)
    await check(service, challenge, value(service, secret))
    answer = await service.api.call("GET", f"/v1/verifications/{challenge['id']}")
    assert answer.status_code == 404
    found = await service.api.call("POST", "/v1/verifications/search", {"subject": SUBJECT})
    assert found.json()["verifications"] == []
    other = await service.client("other")
    assert (await other.call("GET", f"/v1/challenges/{challenge['id']}")).status_code == 404
    story = (await service.api.call("GET", f"/v1/challenges/{challenge['id']}/events")).json()["events"]
    assert [(each["type"], each["route"]) for each in story] == [
        ("created", None),
        ("check", "otp"),
        ("approved", None),
    ]


async def test_a_canceled_challenge_is_not_compared(service: Service) -> None:
    secret = await enrolled(service)
    challenge = await start(service)
    for _ in range(2):
        assert (await service.api.call("POST", f"/v1/challenges/{challenge['id']}/cancel")).status_code == 200
    assert (await check(service, challenge, value(service, secret)))["result"] == "canceled"


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abc", "٠٠٠٠٠٠", "0000-0000-0u", "x" * 65])
async def test_what_is_neither_a_value_nor_a_code_spends_nothing(service: Service, typed: str) -> None:
    await enrolled(service)
    challenge = await start(service)
    answer = await service.api.call("POST", f"/v1/challenges/{challenge['id']}/checks", {"pin": typed})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "pin")
    read = await service.api.call("GET", f"/v1/challenges/{challenge['id']}")
    assert read.json()["attempts_left"] == 5


async def test_the_preferred_factor_comes_before_an_app_and_an_app_before_a_phone(service: Service) -> None:
    await active_sms(service, "both", new_number())
    body = {"subject": "both"}
    assert (await service.api.call("POST", "/v1/challenges", body)).json()["factor"]["type"] == "sms"


async def test_a_key_that_is_repeated_starts_one_challenge(service: Service) -> None:
    to = new_number()
    await active_sms(service, SUBJECT, to)
    sent = len(service.vendor.messages(to))
    answers = [
        await service.api.call("POST", "/v1/challenges", {"subject": SUBJECT}, idempotency_key="k") for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len(service.vendor.messages(to)) == sent + 1
