"""What is kept of a subject, and its erasure."""

from typing import Any

import pytest

from otp_service.services.factors import factors, recovery_codes, subjects, totp
from otp_service.services.factors.representation import RecoveryCodes
from otp_service.services.factors.subjects import KeptOfSubject
from otp_service.services.guard import counting
from otp_service.storage import tables
from tests.services.factors.test_devices import is_known, remember
from tests.services.factors.test_factors import code_of, of
from tests.support.factors import (
    active_sms,
    active_totp,
    challenge_proof,
    client_id,
    delete_elsewhere,
    new_totp,
    verify,
)
from tests.support.people import rows
from tests.support.service import Service, new_number, wrong

NOTHING = KeptOfSubject("u", None, [], RecoveryCodes(0, None), [], [], [], [], [])


async def export(service: Service, subject: str = "u") -> KeptOfSubject:
    return await subjects.export(service.ctx, await client_id(service), subject)


async def live(service: Service, subject: str = "u") -> None:
    """A subject with a bit of everything."""
    await active_totp(service, subject)
    await active_sms(service, subject, proof=await challenge_proof(service, subject))
    await recovery_codes.replace(service.ctx, await client_id(service), subject, None)
    await remember(service, subject)
    pending = await new_totp(service, subject, await challenge_proof(service, subject))
    assert pending.totp is not None
    await verify(service, pending, wrong("000000"))
    await service.api.start(new_number(), subject=subject)


async def test_everything_that_is_kept_is_returned(service: Service) -> None:
    await live(service)
    kept = await export(service)
    assert [(each.type, each.status) for each in kept.factors] == [
        ("totp", "active"), ("sms", "active"), ("totp", "unverified"),
    ]  # fmt: skip
    assert kept.recovery_codes.remaining == 10
    assert [each.subject for each in kept.devices] == ["u"]
    assert [(each.kind, each.checks, each.waits_until) for each in kept.failures] == [("factors", 1, None)]
    assert [each.status for each in kept.challenges] == ["pending", "approved", "approved", "approved"]
    assert [each.status for each in kept.verifications] == ["pending"]
    assert (await export(service, "v")).factors == []


async def test_that_a_number_was_approved_is_kept_and_erased_too(service: Service) -> None:
    to = new_number()
    started = await service.api.start(to, subject="u")
    await service.api.check(started["id"], service.pin(to))
    await counting.work(service.ctx)
    (approved,) = (await export(service)).approved_numbers
    assert approved.since == approved.last_at
    await subjects.erase(service.ctx, await client_id(service), "u")
    assert (await export(service)).approved_numbers == []


async def test_an_approval_that_is_counted_after_the_erasure_makes_nobody_known(service: Service) -> None:
    to = new_number()
    started = await service.api.start(to, subject="u")
    await service.api.check(started["id"], service.pin(to))
    await subjects.erase(service.ctx, await client_id(service), "u")
    await counting.work(service.ctx)
    assert (await export(service)).approved_numbers == []


@pytest.mark.both_databases
async def test_an_erased_subject_is_nowhere(service: Service) -> None:
    await live(service)
    await subjects.erase(service.ctx, await client_id(service), "u")
    assert await export(service) == NOTHING
    for table in (tables.subjects, tables.factors, tables.recovery_codes, tables.devices, tables.subject_failures):
        assert await rows(service, table) == []
    started = await rows(service, tables.verifications)
    assert {row["subject"] for row in started} == {None}
    challenges = [row for row in started if row["subject_id"] is not None]
    assert {row["slot"] for row in challenges} == {""}
    assert [row["reason"] for row in challenges if row["status"] == "canceled"] == ["subject_erased"]
    (verification,) = [row for row in started if row["status"] == "pending"]
    assert verification["slot"] != ""
    await subjects.erase(service.ctx, await client_id(service), "u")


async def test_an_erasure_leaves_other_subjects_and_other_clients(service: Service) -> None:
    await live(service, "v")
    token, _ = await remember(service, "v")
    stranger = await client_id(service, await service.client("stranger"))
    await subjects.erase(service.ctx, stranger, "v")
    await subjects.erase(service.ctx, await client_id(service), "u")
    assert await is_known(service, token, "v")
    kept = await export(service, "v")
    assert (len(kept.factors), len(kept.verifications)) == (3, 1)


async def test_a_proof_of_an_erased_subject_is_void(service: Service) -> None:
    await active_totp(service, "u")
    proof = await challenge_proof(service, "u")
    await subjects.erase(service.ctx, await client_id(service), "u")
    await active_totp(service, "u")
    assert await code_of(new_totp(service, "u", proof)) == "proof_needed"
    redeemed = await service.api.call("POST", "/v1/proofs/redeem", {"proof": proof, "purpose": "login"})
    assert redeemed.json()["code"] == "invalid_proof"


@pytest.mark.both_databases
async def test_challenges_that_expired_unnoticed_are_erased_too(service: Service) -> None:
    for _ in range(2):
        await new_totp(service, "u")
    service.shift(700)
    await subjects.erase(service.ctx, await client_id(service), "u")
    assert [row["status"] for row in await rows(service, tables.verifications)] == ["expired", "expired"]


async def test_the_same_subject_can_begin_again(service: Service) -> None:
    former = await active_totp(service, "u")
    await subjects.erase(service.ctx, await client_id(service), "u")
    added = await active_totp(service, "u")
    assert await of(service) == [added.id]
    assert await code_of(factors.read(service.ctx, await client_id(service), former.id)) == "not_found"


@pytest.mark.both_databases
async def test_a_value_that_is_compared_during_the_erasure_activates_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await new_totp(service, "u")
    compare = totp.step_of

    def step_of(*given: Any) -> int | None:
        delete_elsewhere(service, tables.factors, tables.subject_failures, tables.subjects)
        return compare(*given)

    monkeypatch.setattr(totp, "step_of", step_of)
    assert await code_of(verify(service, added)) == "not_found"
    assert await rows(service, tables.subjects) == []
