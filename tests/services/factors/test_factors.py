"""Adding, changing and removing factors, and the proofs that it needs."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from otp_service.errors import Refusal
from otp_service.services.factors import factors, totp
from otp_service.services.factors.factors import FactorRequest
from otp_service.storage import tables
from tests.support.factors import (
    active_sms,
    active_totp,
    challenge_proof,
    client_id,
    new_totp,
    phone_proof,
    value,
    verify,
)
from tests.support.people import rows
from tests.support.service import Service, new_number, serving
from tests.support.vendor import Vendor


async def code_of(call: Awaitable[Any]) -> str:
    """Returns the code of a refusal."""
    with pytest.raises(Refusal) as refused:
        await call
    return refused.value.code


async def of(service: Service, subject: str = "u") -> list[str]:
    """Returns the ids of a subject's factors."""
    return [each.id for each in (await factors.list_all(service.ctx, await client_id(service), subject)).factors]


async def remove(service: Service, factor_id: str, proof: str | None = None) -> None:
    await factors.remove(service.ctx, await client_id(service), factor_id, proof)


async def test_an_app_gets_a_secret_that_is_stored_encrypted_and_is_gone_after_ten_minutes(service: Service) -> None:
    added = await new_totp(service, "u", name="Pixel")
    assert added.totp is not None
    assert (added.status, added.type, added.name, added.hint, added.verified_at) == (
        "unverified", "totp", "Pixel", None, None,
    )  # fmt: skip
    assert len(added.totp.secret) == 32  # of 5 bits
    assert added.totp.uri.startswith("otpauth://totp/Casa:u?secret=")
    assert added.totp.qr_svg.startswith("<svg")
    assert added.totp.secret not in repr(added)
    (row,) = await rows(service, tables.factors)
    assert added.totp.secret not in str(row)
    service.shift(599)
    assert await of(service) == [added.id]
    service.shift(1)
    assert await of(service) == []
    assert await code_of(verify(service, added)) == "not_found"


@pytest.mark.both_databases
async def test_a_phone_is_active_at_once_and_uses_up_the_proof_of_its_number(service: Service) -> None:
    to = new_number()
    proof = await phone_proof(service, to)
    request = FactorRequest(await client_id(service), "u", "mine")
    added = await factors.create_sms(service.ctx, request, proof)
    assert (added.status, added.type, added.name, added.hint) == ("active", "sms", "mine", f"...{to[-2:]}")
    assert added.verified_at == added.created_at
    other = FactorRequest(await client_id(service), "other")
    assert await code_of(factors.create_sms(service.ctx, other, proof)) == "already_redeemed"
    assert await of(service, "other") == []


async def test_a_proof_of_a_number_must_be_of_this_client_and_not_of_another_subject(service: Service) -> None:
    proof = await phone_proof(service, subject="u")
    stranger = await client_id(service, await service.client("stranger"))
    create = factors.create_sms
    assert await code_of(create(service.ctx, FactorRequest(stranger, "u"), proof)) == "invalid_proof"
    assert await code_of(create(service.ctx, FactorRequest(await client_id(service), "v"), proof)) == "mismatch"
    passed = await challenge_proof(service, "u")
    request = FactorRequest(await client_id(service), "u")
    assert await code_of(create(service.ctx, request, passed)) == "invalid_proof"
    assert (await create(service.ctx, request, proof)).status == "active"


async def test_another_factor_needs_a_fresh_proof_of_a_challenge_of_the_subject(service: Service) -> None:
    first = await active_totp(service, "u")
    assert await code_of(new_totp(service, "u")) == "proof_needed"
    assert await code_of(new_totp(service, "u", await challenge_proof(service, "v"))) == "proof_needed"
    assert await code_of(new_totp(service, "u", await challenge_proof(service, "u", "device"))) == "proof_needed"
    assert await code_of(new_totp(service, "u", await phone_proof(service, subject="u"))) == "proof_needed"
    proof = await challenge_proof(service, "u")
    second = await new_totp(service, "u", proof)
    assert await code_of(new_totp(service, "u", proof)) == "proof_needed"
    assert await of(service) == [first.id, second.id]


async def test_a_refused_app_draws_no_qr_code(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await active_totp(service, "u")
    monkeypatch.delattr(totp, "qr_svg")
    assert await code_of(new_totp(service, "u")) == "proof_needed"


async def test_a_refused_phone_does_not_use_up_its_proof(service: Service) -> None:
    await active_totp(service, "u")
    proof = await phone_proof(service)
    request = FactorRequest(await client_id(service), "u")
    assert await code_of(factors.create_sms(service.ctx, request, proof)) == "proof_needed"
    request = FactorRequest(request.client_id, "u", proof=await challenge_proof(service, "u"))
    assert (await factors.create_sms(service.ctx, request, proof)).status == "active"


async def test_an_application_that_takes_the_duty_itself_needs_no_proof(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"factors": {"self_service": True}}) as service:
        first = await active_totp(service, "u")
        await active_totp(service, "u")
        for each in await of(service):
            await remove(service, each)
        assert first.id not in await of(service)


@pytest.mark.both_databases
async def test_the_first_active_factor_removes_those_that_were_added_without_a_proof(service: Service) -> None:
    planted, mine = await new_totp(service, "u"), await new_totp(service, "u")
    assert (await verify(service, mine)).result == "approved"
    assert await of(service) == [mine.id]
    assert await code_of(verify(service, planted)) == "not_found"


async def test_a_later_factor_leaves_the_others(service: Service) -> None:
    first = await active_totp(service, "u")
    second = await new_totp(service, "u", await challenge_proof(service, "u"))
    phone = await active_sms(service, "u", proof=await challenge_proof(service, "u"))
    assert (await verify(service, second)).result == "approved"
    assert await of(service) == [first.id, second.id, phone.id]


@pytest.mark.both_databases
async def test_a_subject_has_at_most_ten_factors_also_if_they_are_added_at_once(service: Service) -> None:
    async def add() -> str | None:
        try:
            return (await new_totp(service, "u")).id
        except Refusal as refusal:
            return refusal.code

    added = await asyncio.gather(*(add() for _ in range(13)))
    assert added.count("too_many_factors") == 3
    assert len(await of(service)) == 10
    service.shift(600)
    assert (await new_totp(service, "u")).status == "unverified"


async def test_the_last_active_factor_needs_a_proof_to_be_removed(service: Service) -> None:
    app = await active_totp(service, "u")
    phone = await active_sms(service, "u", proof=await challenge_proof(service, "u"))
    await remove(service, app.id)
    assert await code_of(remove(service, phone.id)) == "proof_needed"
    await remove(service, phone.id, await challenge_proof(service, "u"))
    assert await of(service) == []
    assert await code_of(remove(service, phone.id, await challenge_proof(service, "u"))) == "not_found"


@pytest.mark.both_databases
async def test_of_two_removals_at_once_the_last_factor_stays(service: Service) -> None:
    app = await active_totp(service, "u")
    phone = await active_sms(service, "u", proof=await challenge_proof(service, "u"))
    both = await asyncio.gather(*(remove(service, each.id) for each in (app, phone)), return_exceptions=True)
    assert [each.code for each in both if isinstance(each, Refusal)] == ["proof_needed"]
    assert len(await of(service)) == 1


async def test_an_unverified_factor_is_removed_without_a_proof(service: Service) -> None:
    first = await active_totp(service, "u")
    second = await new_totp(service, "u", await challenge_proof(service, "u"))
    await remove(service, second.id)
    assert await of(service) == [first.id]


async def test_one_factor_is_preferred(service: Service) -> None:
    client, app = await client_id(service), await active_totp(service, "u")
    phone = await active_sms(service, "u", proof=await challenge_proof(service, "u"))

    async def change(factor_id: str, preferred: bool | None, name: str | None = None) -> list[bool]:
        await factors.change(service.ctx, client, factor_id, name=name, preferred=preferred)
        return [each.preferred for each in (await factors.list_all(service.ctx, client, "u")).factors]

    assert await change(app.id, preferred=True) == [True, False]
    assert await change(phone.id, preferred=True) == [False, True]
    assert await change(app.id, preferred=False) == [False, True]
    assert await change(phone.id, None, "Home") == [False, True]
    assert await change(phone.id, preferred=False) == [False, False]
    assert (await factors.read(service.ctx, client, phone.id)).name == "Home"


async def test_another_client_finds_no_factor_of_ours(service: Service) -> None:
    added = await active_totp(service, "u")
    stranger = await client_id(service, await service.client("stranger"))
    assert (await factors.list_all(service.ctx, stranger, "u")).factors == []
    assert await code_of(factors.read(service.ctx, stranger, added.id)) == "not_found"
    assert await code_of(factors.remove(service.ctx, stranger, added.id, None)) == "not_found"
    change = factors.change(service.ctx, stranger, added.id, name="x", preferred=True)
    assert await code_of(change) == "not_found"


async def test_a_value_of_the_app_is_what_rfc_6238_says(service: Service) -> None:
    added = await new_totp(service, "u")
    assert added.totp is not None
    typed = value(service, added.totp.secret)
    assert (await verify(service, added, f"{typed[:3]} {typed[3:]}")).result == "approved"
