"""The first value of an authenticator app: attempts, failures of the subject, and what a right one changes."""

import asyncio
from typing import Any

import pytest

from otp_service.errors import Refusal
from otp_service.services.factors import factors, totp
from otp_service.services.factors.factors import NewFactor
from otp_service.storage import tables
from tests.support.factors import active_totp, challenge_proof, client_id, delete_elsewhere, new_totp, value, verify
from tests.support.people import rows
from tests.support.service import NO_LIMITS, Service, serving, wrong
from tests.support.vendor import Vendor

WAITS = {"free": 2, "first_wait": 30}


def right(service: Service, factor: NewFactor, steps: int = 0) -> str:
    assert factor.totp is not None
    return value(service, factor.totp.secret, steps)


async def test_the_first_right_value_makes_a_factor_active_and_records_its_step(service: Service) -> None:
    added = await new_totp(service, "u")
    verified = await verify(service, added)
    assert (verified.result, verified.factor.status) == ("approved", "active")
    assert verified.factor.verified_at == service.ctx.clock.now()
    (row,) = await rows(service, tables.factors)
    assert row["last_step"] == int(service.ctx.clock.now() // 30)
    again = await verify(service, added)
    assert (again.result, again.factor) == ("already_approved", verified.factor)


@pytest.mark.parametrize(("steps", "result"), [(-2, "incorrect"), (-1, "approved"), (1, "approved"), (2, "incorrect")])
async def test_one_step_either_side_is_right(service: Service, steps: int, result: str) -> None:
    added = await new_totp(service, "u")
    assert (await verify(service, added, right(service, added, steps))).result == result


@pytest.mark.parametrize("typed", ["12345", "1234567", "abcdef", "", "١٢٣٤٥٦"])
async def test_what_is_no_value_costs_nothing(service: Service, typed: str) -> None:
    added = await new_totp(service, "u")
    with pytest.raises(Refusal, match="invalid"):
        await verify(service, added, typed or " ")
    assert (await rows(service, tables.verifications))[0]["attempts_spent"] == 0


async def test_five_wrong_values_end_the_enrolment(service: Service) -> None:
    added = await new_totp(service, "u")
    for _ in range(5):
        assert (await verify(service, added, wrong(right(service, added)))).result == "incorrect"
    verified = await verify(service, added)
    assert (verified.result, verified.factor.status) == ("exhausted", "unverified")


@pytest.mark.both_databases
async def test_of_many_values_at_once_no_more_are_compared_than_there_are_attempts(service: Service) -> None:
    added = await new_totp(service, "u")
    values = [wrong(right(service, added))] * 12
    answers = await asyncio.gather(*(verify(service, added, each) for each in values))
    assert sorted(answer.result for answer in answers) == ["exhausted"] * 7 + ["incorrect"] * 5


@pytest.mark.both_databases
async def test_of_many_right_values_at_once_one_activates(service: Service) -> None:
    added = await new_totp(service, "u")
    answers = await asyncio.gather(*(verify(service, added) for _ in range(4)))
    assert sorted(answer.result for answer in answers) == ["already_approved"] * 3 + ["approved"]


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_wrong_values_count_for_the_subject_and_a_right_one_clears_nothing(
    database_url: str, vendor: Vendor
) -> None:
    config = {"limits": {**NO_LIMITS, "failures_per_subject": WAITS}}
    async with serving(database_url, vendor, config) as service:
        first = await new_totp(service, "u")
        assert (await verify(service, first, wrong(right(service, first)))).result == "incorrect"
        assert (await verify(service, first)).result == "approved"
        (count,) = await rows(service, tables.subject_failures)
        assert (count["kind"], count["checks"], count["waits_until"]) == ("factors", 1, 0)
        second = await new_totp(service, "u", await challenge_proof(service, "u"))
        verified = await verify(service, second, wrong(right(service, second)))
        assert (verified.result, verified.factor.status) == ("incorrect", "unverified")
        locked = await verify(service, second)
        assert (locked.result, locked.retry_at) == ("locked", service.ctx.clock.now() + 30)
        shown = await factors.list_all(service.ctx, await client_id(service), "u")
        assert [each.status for each in shown.factors] == ["locked", "unverified"]
        service.shift(30)
        assert (await verify(service, second)).result == "approved"
        (count,) = await rows(service, tables.subject_failures)
        assert (count["checks"], count["waits_until"]) == (2, 0)


@pytest.mark.both_databases
async def test_a_factor_that_is_removed_while_a_value_is_compared_does_not_become_active(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await new_totp(service, "u")
    compare = totp.step_of

    def step_of(*given: Any) -> int | None:
        delete_elsewhere(service, tables.factors)
        return compare(*given)

    monkeypatch.setattr(totp, "step_of", step_of)
    with pytest.raises(Refusal, match="not_found"):
        await verify(service, added)


async def test_a_verified_factor_has_a_history_without_values(service: Service) -> None:
    added = await active_totp(service, "u")
    recorded = await rows(service, tables.events)
    assert [(each["verification_id"], each["result"], each["route"]) for each in recorded] == [
        (added.id, "approved", "otp")
    ]
