"""Remembered devices: found by a keyed digest, for their subject, until they expire or are revoked."""

import pytest

from otp_service.services.factors import devices, factors
from otp_service.services.factors.representation import Device
from otp_service.storage import tables
from otp_service.storage.factors.subjects import Owner
from tests.services.factors.test_factors import code_of
from tests.support.factors import active_sms, active_totp, challenge_proof, client_id, new_totp
from tests.support.people import rows
from tests.support.service import Service


async def owner_of(service: Service, subject: str = "u") -> Owner:
    ids = {row["subject"]: row["id"] for row in await rows(service, tables.subjects)}
    return Owner(await client_id(service), subject, ids[subject])


async def remember(service: Service, subject: str = "u") -> tuple[str, Device]:
    owner, now = await owner_of(service, subject), service.ctx.clock.now()
    return await service.ctx.database.write(lambda tx: devices.add(tx, service.ctx, owner, now))


async def is_known(service: Service, token: str, subject: str = "u") -> bool:
    owner, now = await owner_of(service, subject), service.ctx.clock.now()
    return await service.ctx.database.write(lambda tx: devices.use(tx, service.ctx, owner.id, token, now))


async def of(service: Service, subject: str = "u") -> list[Device]:
    return await devices.list_all(service.ctx, await client_id(service), subject)


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_a_device_is_known_by_its_token_to_its_subject_for_thirty_days(service: Service) -> None:
    for subject in ("u", "v"):
        await active_totp(service, subject)
    token, device = await remember(service)
    assert token.startswith("otpd_")
    assert token not in str(await rows(service, tables.devices))
    assert await of(service) == [device]
    assert not await is_known(service, token, "v")
    assert not await is_known(service, f"{token}x")
    service.shift(30 * 86400 - 1)
    assert await is_known(service, token)
    assert [each.last_used_at for each in await of(service)] == [service.ctx.clock.now()]
    service.shift(1)
    assert not await is_known(service, token)
    assert await of(service) == []


async def test_one_device_or_all_are_revoked(service: Service) -> None:
    await active_totp(service, "u")
    (first, shown), (second, _), (third, _) = [await remember(service) for _ in range(3)]
    client = await client_id(service)
    stranger = await client_id(service, await service.client("stranger"))
    assert await code_of(devices.revoke(service.ctx, stranger, shown.id)) == "not_found"
    await devices.revoke_all(service.ctx, stranger, "u")
    await devices.revoke(service.ctx, client, shown.id)
    assert await code_of(devices.revoke(service.ctx, client, shown.id)) == "not_found"
    assert [await is_known(service, token) for token in (first, second, third)] == [False, True, True]
    await devices.revoke_all(service.ctx, client, "u")
    assert [await is_known(service, token) for token in (second, third)] == [False, False]
    await devices.revoke_all(service.ctx, client, "nobody")


async def test_a_factor_that_is_added_or_removed_revokes_every_device(service: Service) -> None:
    app = await active_totp(service, "u")
    token, _ = await remember(service)
    second = await new_totp(service, "u", await challenge_proof(service, "u"))
    await factors.remove(service.ctx, await client_id(service), second.id, None)
    assert await is_known(service, token)  # it was never active
    phone = await active_sms(service, "u", proof=await challenge_proof(service, "u"))
    assert not await is_known(service, token)
    token, _ = await remember(service)
    await factors.remove(service.ctx, await client_id(service), app.id, None)
    assert not await is_known(service, token)
    assert (await factors.read(service.ctx, await client_id(service), phone.id)).status == "active"
