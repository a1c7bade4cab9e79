"""`otp-service restored`."""

import pytest

from otp_service.services.factors import totp
from otp_service.services.operations import restore
from otp_service.storage import tables
from otp_service.storage.factors import factors
from tests.services.operations.test_retention import count
from tests.support.processes import ok
from tests.support.service import serving
from tests.support.stored_factors import add_codes, add_device, add_totp
from tests.support.vendor import Vendor

CANCELED, REVOKED = "Canceled {} pending verifications and challenges.\n", "Revoked {} devices.\n"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_backup_shows_as_pending_is_canceled(database_url: str, vendor: Vendor) -> None:
    settings = {"OTP_DATABASE_URL": database_url}
    async with serving(database_url, vendor) as service:
        started = await service.api.start()
        pin = service.pin(started["to"])
        assert ok("restored", settings=settings) == CANCELED.format(1) + REVOKED.format(0)
        assert await service.api.check(started["id"], pin) == "canceled"
        assert (await service.api.read(started["id"]))["reason"] == "restored"
        assert ok("restored", settings=settings) == CANCELED.format(0) + REVOKED.format(0)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_devices_and_values_of_apps_that_were_used_since_the_backup_are_not_accepted(
    database_url: str, vendor: Vendor
) -> None:
    settings = {"OTP_DATABASE_URL": database_url}
    async with serving(database_url, vendor) as service:
        now = service.ctx.clock.now()
        used_before, used_since = totp.newest_step(now) - 100, totp.newest_step(now)
        app = await add_totp(service, "u", step=used_before)
        unverified = await add_totp(service, "u", is_verified=False)
        await add_device(service, "u")
        assert ok("restored", settings=settings) == CANCELED.format(0) + REVOKED.format(1)
        assert await count(service, tables.devices) == 0
        write = service.ctx.database.write
        assert not await write(lambda tx: factors.use(tx, app, step=used_since, now=now))
        service.shift(60)
        later = totp.newest_step(service.ctx.clock.now())
        assert await write(lambda tx: factors.use(tx, app, step=later, now=now))
        assert await write(lambda tx: factors.activate(tx, unverified, step=later, now=now)), "it has used no value"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_recovery_codes_stay_unless_the_operator_deletes_them(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "BATCH", 2)
    settings = {"OTP_DATABASE_URL": database_url}
    async with serving(database_url, vendor) as service:
        for subject in "abc":
            await add_totp(service, subject)
            await add_codes(service, subject)
            await add_device(service, subject)
        assert ok("restored", settings=settings) == CANCELED.format(0) + REVOKED.format(3)
        assert await count(service, tables.recovery_codes) == 6
        done = ok("restored", "--delete-recovery-codes", settings=settings)
        assert done == f"{CANCELED.format(0)}{REVOKED.format(0)}Deleted the recovery codes of 3 subjects.\n"
        assert await count(service, tables.recovery_codes) == 0
        assert await count(service, tables.subjects, tables.subjects.c.codes_created_at.is_not(None)) == 0
