"""`otp-service opt-outs`."""

import pytest

from otp_service import phone
from otp_service.services.opt_outs import campaign
from tests.support.people import begin, source_of, texts
from tests.support.processes import here, ok, storage_settings
from tests.support.service import new_number, serving
from tests.support.vendor import Vendor


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_operator_sees_a_stop_by_sms_and_lifts_it(database_url: str, vendor: Vendor) -> None:
    to = new_number()
    settings, masked = storage_settings(database_url), phone.mask(to)
    async with serving(database_url, vendor) as service:
        await begin(service)
        assert ok("opt-outs", "show", to, settings=settings) == f"{masked} has not opted out.\n"
        assert ok("opt-outs", "lift", to, settings=settings) == f"{masked} had not opted out.\n"
        await texts(service, to, "STOP")
        assert ok("opt-outs", "show", to, settings=settings).startswith(f"{masked}\topted out\tby user\tsince 20")
        assert ok("opt-outs", "lift", to, settings=settings) == f"{masked} gets messages again.\n"
        assert await source_of(service, to) is None
        await campaign.work(service.ctx)
        assert [each["text"] for each in vendor.fired()] == ["START"]


def test_another_spelling_of_a_number_is_refused() -> None:
    for command in ("show", "lift"):
        done = here("opt-outs", command, "573001234567", settings=storage_settings("sqlite:///none.db"))
        assert (done.code, done.out) == (1, "")
        assert "E.164" in done.err
