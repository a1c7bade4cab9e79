"""Recovery codes: made once there is a factor, replaced with a proof, used once, stored as keyed digests."""

import re

import pytest

from otp_service.services.factors import factors, recovery_codes
from otp_service.services.factors.recovery_codes import NewRecoveryCodes
from otp_service.services.factors.representation import RecoveryCodes
from otp_service.storage import tables
from otp_service.storage.factors.subjects import Owner
from tests.services.factors.test_factors import code_of
from tests.support.factors import active_totp, challenge_proof, client_id, new_totp
from tests.support.people import rows
from tests.support.service import Service


async def make(service: Service, subject: str = "u", proof: str | None = None) -> NewRecoveryCodes:
    return await recovery_codes.replace(service.ctx, await client_id(service), subject, proof)


async def left(service: Service, subject: str = "u") -> RecoveryCodes:
    return (await factors.list_all(service.ctx, await client_id(service), subject)).recovery_codes


async def use(service: Service, code: str, subject: str = "u") -> bool:
    """Uses up a code, typed in capitals and without hyphens."""
    cleaned = recovery_codes.clean_code(code.upper().replace("-", " "))
    assert cleaned is not None
    client = await client_id(service)
    ids = {row["subject"]: row["id"] for row in await rows(service, tables.subjects)}
    owner, now = Owner(client, subject, ids[subject]), service.ctx.clock.now()
    return await service.ctx.database.write(lambda tx: recovery_codes.use(tx, service.ctx, owner, cleaned, now))


async def test_ten_codes_are_easy_to_type_and_not_stored(service: Service) -> None:
    await active_totp(service, "u")
    made = await make(service)
    assert len(set(made.codes)) == made.remaining == 10
    assert all(re.fullmatch("[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{2}", c) for c in made.codes)
    assert await left(service) == RecoveryCodes(10, made.created_at)
    assert made.codes[0] not in repr(made)
    stored = str(await rows(service, tables.recovery_codes))
    assert not any(code in stored or code.replace("-", "") in stored for code in made.codes)


@pytest.mark.both_databases
async def test_each_works_once_and_for_its_subject_only(service: Service) -> None:
    for subject in ("u", "v"):
        await active_totp(service, subject)
    made = await make(service)
    assert not await use(service, made.codes[0], "v")
    assert await use(service, made.codes[0])
    assert not await use(service, made.codes[0])
    assert await left(service) == RecoveryCodes(9, made.created_at)


async def test_new_codes_need_a_proof_and_end_the_former_ones(service: Service) -> None:
    await active_totp(service, "u")
    former = await make(service)
    assert await code_of(make(service)) == "proof_needed"
    made = await make(service, proof=await challenge_proof(service, "u"))
    assert not await use(service, former.codes[0])
    assert await use(service, made.codes[0])


async def test_codes_that_are_used_up_are_made_again_without_a_proof(service: Service) -> None:
    await active_totp(service, "u")
    for code in (await make(service)).codes:
        assert await use(service, code)
    assert (await make(service)).remaining == 10


async def test_a_subject_without_an_active_factor_gets_none(service: Service) -> None:
    assert await code_of(make(service)) == "no_factor"
    await new_totp(service, "u")
    assert await code_of(make(service)) == "no_factor"
    assert await left(service) == RecoveryCodes(0, None)


async def test_they_go_with_the_last_active_factor(service: Service) -> None:
    added = await active_totp(service, "u")
    await make(service)
    proof = await challenge_proof(service, "u")
    await factors.remove(service.ctx, await client_id(service), added.id, proof)
    assert await left(service) == RecoveryCodes(0, None)
    assert await rows(service, tables.recovery_codes) == []
