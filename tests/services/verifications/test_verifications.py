"""Sessions, the same one again, superseded, canceled, expired, other people's; texts and locales."""

import asyncio
import time
from statistics import median
from typing import Any

import pytest

from otp_service import phone
from tests.support.service import AT_ONCE, NO_LIMITS, Api, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

FREE = {"limits": NO_LIMITS}


async def test_the_same_start_again_answers_the_pending_one_and_sends_nothing(service: Service) -> None:
    for fields in ({}, {"session": "browser-1"}):
        to = new_number()
        first = await service.api.try_start(to, **fields)
        again = await service.api.try_start(to, **fields)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        assert len(service.vendor.messages(to)) == 1


async def test_after_its_end_the_same_start_is_a_new_verification(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, FREE) as service:
        to = new_number()
        first = await service.api.start(to)
        service.shift(600)
        second = await service.api.start(to)
        assert await service.api.check(second["id"], service.pin(to)) == "approved"
        third = await service.api.start(to)
        await service.api.cancel(third["id"])
        fourth = await service.api.start(to)
        assert len({first["id"], second["id"], third["id"], fourth["id"]}) == 4
        assert (await service.api.read(first["id"]))["status"] == "expired"


async def test_another_number_in_the_same_session_supersedes(service: Service) -> None:
    first = await service.api.start(session="browser-2")
    pin = service.pin(first["to"])
    second = await service.api.start(session="browser-2")
    over = await service.api.read(first["id"])
    assert (over["status"], over["reason"]) == ("canceled", "superseded")
    assert await service.api.check(first["id"], pin, session="browser-2") == "canceled"
    assert (await service.api.read(second["id"]))["status"] == "pending"
    elsewhere = await service.api.start(session="browser-2", purpose="login")
    assert (await service.api.read(second["id"]))["status"] == "pending", "another purpose is another slot"
    assert elsewhere["status"] == "pending"


async def test_whatever_is_given_at_a_check_must_match_the_start(service: Service) -> None:
    started = await service.api.start(session="browser-3")
    pin = service.pin(started["to"])
    for fields in (
        {},
        {"session": "browser-4"},
        {"session": "browser-3", "to": new_number()},
        {"session": "browser-3", "purpose": "login"},
    ):
        answer = await service.api.try_check(started["id"], pin, **fields)
        assert (answer.status_code, answer.json()["code"]) == (409, "mismatch")
    assert (await service.api.read(started["id"]))["attempts_left"] == 5
    same = {"session": "browser-3", "to": started["to"], "purpose": "signup"}
    assert await service.api.check(started["id"], pin, **same) == "approved"
    without = await service.api.start()
    answer = await service.api.try_check(without["id"], service.pin(without["to"]), session="browser-3")
    assert answer.status_code == 409


async def test_the_right_pin_in_the_wrong_place_is_never_approved(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, FREE) as service:
        one, two = await service.api.start(), await service.api.start()
        first, second = service.pin(one["to"]), service.pin(two["to"])
        if first != second:
            assert await service.api.check(two["id"], first) == "incorrect"
        other = await service.client("other")
        assert (await other.try_check(one["id"], first)).status_code == 404
        assert (await other.call("GET", f"/v1/verifications/{one['id']}")).json()["code"] == "not_found"
        for call in ("checks", "resends", "cancel", "events"):
            method = "GET" if call == "events" else "POST"
            body = {"pin": first} if call == "checks" else None
            answer = await other.call(method, f"/v1/verifications/{one['id']}/{call}", body)
            unknown = await other.call(method, f"/v1/verifications/ver_{'A' * 22}/{call}", body)
            assert (answer.status_code, answer.json()) == (unknown.status_code, unknown.json())
            assert answer.status_code == 404
        await service.api.cancel(one["id"])
        assert await service.api.check(one["id"], first) == "canceled"
        service.shift(600)
        assert await service.api.check(two["id"], second) == "expired"


async def test_cancel_works_twice_and_not_on_another_final_state(service: Service) -> None:
    started = await service.api.start()
    for _ in range(2):
        answer = await service.api.cancel(started["id"])
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    approved = await service.api.start()
    await service.api.check(approved["id"], service.pin(approved["to"]))
    refused = await service.api.cancel(approved["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "not_pending")
    late = await service.api.start()
    service.shift(600)
    assert (await service.api.cancel(late["id"])).status_code == 409


async def test_resends_wait_run_out_and_end_with_the_verification(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"purposes": {"signup": {"resend_after": [100, 300]}}}) as service:
        started = await service.api.start()
        early = await service.api.resend(started["id"])
        assert (early.status_code, early.json()["limit"]) == (429, "resend_after")
        service.shift(100)
        second = (await service.api.resend(started["id"])).json()
        assert second["sends_left"] == 1
        service.shift(200)
        assert (await service.api.resend(started["id"])).status_code == 429
        service.shift(100)
        third = (await service.api.resend(started["id"])).json()
        assert (third["sends_left"], third["resend_at"]) == (0, None)
        none_left = await service.api.resend(started["id"])
        assert (none_left.status_code, none_left.json()["code"]) == (409, "no_sends_left")
        assert third["expires_at"] == started["expires_at"], "resends are within the lifetime"
        await service.api.cancel(started["id"])
        over = await service.api.resend(started["id"])
        assert (over.status_code, over.json()["code"]) == (409, "not_pending")


async def test_a_resend_goes_only_where_the_service_still_sends(database_url: str, vendor: Vendor) -> None:
    config = {**FREE, "purposes": {"signup": AT_ONCE}}
    async with serving(database_url, vendor, config) as service:
        started, api_key = await service.api.start(), service.api.api_key
    async with serving(database_url, vendor, config, countries="US") as service:
        refused = await Api(service.http, api_key).resend(started["id"])
        assert (refused.status_code, refused.json()["code"]) == (403, "country_not_allowed")
        assert len(vendor.messages(started["to"])) == 1


async def test_resends_at_once_send_no_more_than_there_are(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {**FREE, "purposes": {"signup": AT_ONCE}}) as service:
        started = await service.api.start()
        answers = await asyncio.gather(*(service.api.resend(started["id"]) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [200] * 2 + [409] * 8
        assert len(vendor.messages(started["to"])) == 3


@pytest.mark.parametrize(
    ("locale", "begins"),
    [
        ("es", "Example: PIN para"),
        ("es-CO", "Example: PIN para"),
        ("pt_BR", "Example: PIN para"),
        ("xx", "Example: PIN to"),
    ],
)
async def test_the_text_is_in_the_persons_language(service: Service, locale: str, begins: str) -> None:
    started = await service.api.start(locale=locale)
    message = service.vendor.messages(started["to"])[0]
    assert message["text"].startswith(begins)
    assert "10 min" in message["text"]
    assert message["pin"] in message["text"]


async def test_a_purpose_of_the_operator_has_its_own_rules(database_url: str, vendor: Vendor) -> None:
    payment = {
        "brand": "Acme",
        "pin_length": 8,
        "attempts": 2,
        "lifetime": 120,
        "sends": 1,
        "text": {"en": "{brand} {pin}"},
    }
    async with serving(database_url, vendor, {**FREE, "purposes": {"payment": payment}}) as service:
        started = await service.api.start(purpose="payment")
        assert (started["pin_length"], started["attempts_left"], started["sends_left"]) == (8, 2, 0)
        assert started["resend_at"] is None
        pin = service.pin(started["to"])
        assert vendor.messages(started["to"])[0]["text"] == f"Acme {pin}"
        assert (await service.api.try_check(started["id"], pin[:6])).status_code == 422
        assert await service.api.check(started["id"], f"{pin[:4]} {pin[4:6]}-{pin[6:]}") == "approved"


async def test_countries_and_purposes_that_are_not_served_are_refused(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, countries="US,VE") as service:
        refused = await service.api.try_start(new_number())
        assert (refused.status_code, refused.json()["code"]) == (403, "country_not_allowed")
        unknown = await service.api.try_start("+13056708084", purpose="payment")
        assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "purpose")
        assert (await service.api.start("+13056708084"))["status"] == "pending"


async def test_the_story_tells_everything_but_the_pin(service: Service) -> None:
    started = await service.api.start()
    pin = service.pin(started["to"])
    await service.api.check(started["id"], wrong(pin))
    await service.api.check(started["id"], pin)
    await service.api.check(started["id"], pin)
    story = await service.api.events(started["id"])
    assert [(event["type"], event["result"]) for event in story] == [
        ("created", None),
        ("send", "accepted"),
        ("check", "incorrect"),
        ("check", "approved"),
        ("approved", None),
        ("check", "already_approved"),
    ]
    assert pin not in str(story)


@pytest.mark.long
async def test_checks_that_compare_nothing_take_as_long_as_others(vendor: Vendor, migrated: str) -> None:
    cost: dict[str, Any] = {"argon2": "m=19456,t=2,p=1", "allow_weak_argon2": False}
    async with serving(migrated, vendor, {**FREE, "purposes": {"signup": {"attempts": 100}}}, **cost) as service:
        started, canceled = await service.api.start(), await service.api.start()
        await service.api.cancel(canceled["id"])
        pin = wrong(service.pin(started["to"]))

        async def seconds(verification_id: str) -> float:
            begun = time.perf_counter()
            await service.api.try_check(verification_id, pin)
            return time.perf_counter() - begun

        for other in (canceled["id"], f"ver_{'A' * 22}"):
            # In turns, and pair by pair: the machine's speed drifts.
            ratios = [await seconds(started["id"]) / await seconds(other) for _ in range(9)]
            assert 0.5 < median(ratios) < 2


async def test_a_resend_to_a_number_that_its_plan_dropped_is_not_pending(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await service.api.start()
    service.shift(61)
    monkeypatch.setattr("otp_service.phone.phonenumbers.is_valid_number", lambda _number: False)
    phone.parse.cache_clear()  # as a new release begins
    refused = await service.api.resend(started["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "not_pending")
