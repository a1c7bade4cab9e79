"""`otp-service restored`."""

import pytest

from tests.support.processes import ok
from tests.support.service import serving
from tests.support.vendor import Vendor


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_backup_shows_as_pending_is_canceled(database_url: str, vendor: Vendor) -> None:
    settings = {"OTP_DATABASE_URL": database_url}
    async with serving(database_url, vendor) as service:
        started = await service.api.start()
        pin = service.pin(started["to"])
        assert ok("restored", settings=settings) == "Canceled 1 pending verifications.\n"
        assert await service.api.check(started["id"], pin) == "canceled"
        assert (await service.api.read(started["id"]))["reason"] == "restored"
        assert ok("restored", settings=settings) == "Canceled 0 pending verifications.\n"
