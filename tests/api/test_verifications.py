"""The calls under /v1/verifications: what each answers."""

import re

from tests.support.service import Service, new_number, wrong


async def test_a_started_verification_has_the_shape_of_the_contract(service: Service) -> None:
    to = new_number()
    answer = await service.api.try_start(to, subject="user-1", reference="order 7")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    started = answer.json()
    assert re.fullmatch(r"ver_[A-Za-z0-9_-]{22}", started["id"])
    assert started["delivery"].keys() == {"status", "route", "sent_at"}
    assert started["delivery"]["status"] == "sent"
    assert started["delivery"]["route"] == "pin"
    del started["delivery"]
    assert started == {
        "id": started["id"],
        "status": "pending",
        "reason": None,
        "purpose": "signup",
        "to": to,
        "pin_length": 6,
        "attempts_left": 5,
        "sends_left": 2,
        "created_at": started["created_at"],
        "expires_at": started["expires_at"],
        "resend_at": started["resend_at"],
        "subject": "user-1",
        "reference": "order 7",
    }
    assert service.pin(to) not in answer.text


async def test_the_right_pin_is_approved_once(service: Service) -> None:
    started = await service.api.start()
    pin = service.pin(started["to"])
    answer = await service.api.try_check(started["id"], pin)
    assert answer.json()["result"] == "approved"
    assert answer.json()["proof"].count(".") == 2
    assert answer.json()["verification"]["status"] == "approved"
    assert await service.api.check(started["id"], pin) == "already_approved"


async def test_wrong_pins_spend_the_attempts(service: Service) -> None:
    started = await service.api.start()
    pin = service.pin(started["to"])
    for left in (4, 3, 2, 1, 0):
        answer = (await service.api.try_check(started["id"], wrong(pin))).json()
        assert (answer["result"], answer["verification"]["attempts_left"]) == ("incorrect", left)
    assert (await service.api.read(started["id"]))["status"] == "exhausted"
    assert await service.api.check(started["id"], pin) == "exhausted"
