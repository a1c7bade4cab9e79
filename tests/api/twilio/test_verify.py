"""What the calls of Twilio's interface leave to the services: races, times, test numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from otp_service.hashing.hasher import PinHasher
from otp_service.services.verifications import lifecycle, resends
from tests.api.twilio.test_forms import CHECK, START, call, error
from tests.support.service import NO_LIMITS, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

TEST_NUMBER = "+15005550006"
CONFIG: dict[str, Any] = {
    "limits": NO_LIMITS,
    "purposes": {"signup": {"resend_after": [0]}},
    "test_numbers": {TEST_NUMBER: {"pin": "424242", "until": datetime.now(UTC).date() + timedelta(days=10)}},
}


def start(to: str) -> str:
    return f"To=%2B{to[1:]}&Channel=sms"


def check(to: str, code: str) -> str:
    return f"To=%2B{to[1:]}&Code={code}"


async def test_a_verification_that_ends_before_its_resend_is_replaced_by_a_new_one(
    sqlite_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = resends.resend

    async def too_late(ctx: Any, client_id: str, verification_id: str) -> Any:
        await lifecycle.cancel(ctx, client_id, verification_id)
        return await really(ctx, client_id, verification_id)

    monkeypatch.setattr(resends, "resend", too_late)
    async with serving(sqlite_url, vendor, CONFIG) as service:
        to = new_number()
        first = (await call(service, "POST", START, start(to))).json()
        second = await call(service, "POST", START, start(to))
        assert second.status_code == 201
        assert second.json()["sid"] != first["sid"]
        assert len(vendor.messages(to)) == 2


async def test_a_pending_verification_that_cannot_be_resent_is_no_success(
    sqlite_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(sqlite_url, vendor, CONFIG) as service:
        to = new_number()
        await call(service, "POST", START, start(to))
        purposes = service.ctx.policy.purposes
        monkeypatch.setitem(purposes, "signup", purposes["signup"].model_copy(update={"pin_length": 8}))
        error(await call(service, "POST", START, start(to)), 404, 20404)
        assert len(vendor.messages(to)) == 1


async def test_a_check_of_a_number_without_a_verification_takes_the_time_of_a_comparison(
    shared: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Any] = []
    really = PinHasher.compare_nothing

    async def counting(self: PinHasher, ticket: Any) -> None:
        compared.append(ticket)
        await really(self, ticket)

    monkeypatch.setattr(PinHasher, "compare_nothing", counting)
    error(await call(shared, "POST", CHECK, check(new_number(), "123456")), 404, 20404)
    assert len(compared) == 1


async def test_a_test_number_is_approved_by_its_fixed_pin(sqlite_url: str, vendor: Vendor) -> None:
    async with serving(sqlite_url, vendor, CONFIG) as service:
        assert (await call(service, "POST", START, start(TEST_NUMBER))).status_code == 201
        assert (await call(service, "POST", START, start(TEST_NUMBER))).status_code == 201
        assert (await call(service, "POST", CHECK, check(TEST_NUMBER, wrong("424242")))).json()["valid"] is False
        assert (await call(service, "POST", CHECK, check(TEST_NUMBER, "424242"))).json()["valid"] is True
        assert vendor.messages(TEST_NUMBER) == []


async def test_the_newest_verification_of_a_number_is_checked(sqlite_url: str, vendor: Vendor) -> None:
    async with serving(sqlite_url, vendor, CONFIG) as service:
        to = new_number()
        sids = []
        for _ in range(3):
            sids.append((await call(service, "POST", START, start(to))).json()["sid"])
            old = service.pin(to)
            await call(service, "POST", f"{START}/{sids[-1]}", "Status=canceled")
        error(await call(service, "POST", CHECK, check(to, old)), 404, 20404)
        newest = (await call(service, "POST", START, start(to))).json()["sid"]
        assert newest not in sids
        answer = (await call(service, "POST", CHECK, check(to, service.pin(to)))).json()
        assert (answer["sid"], answer["valid"]) == (newest, True)


async def test_numbers_and_purposes_do_not_share_their_verifications(sqlite_url: str, vendor: Vendor) -> None:
    async with serving(sqlite_url, vendor, CONFIG) as service:
        one, other = new_number(), new_number()
        await call(service, "POST", START, start(one))
        pin = service.pin(one)
        await call(service, "POST", START, start(other))
        answer = await call(service, "POST", CHECK, check(other, pin))
        assert answer.json()["valid"] is (pin == service.pin(other))
        error(await call(service, "POST", CHECK.replace("signup", "login"), check(one, pin)), 404, 20404)
        assert (await call(service, "POST", CHECK, check(one, pin))).json()["valid"] is True
