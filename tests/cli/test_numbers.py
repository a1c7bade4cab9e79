"""`otp-service budgets`."""

import pytest

from otp_service import phone
from tests.support.processes import here, ok, storage_settings
from tests.support.service import new_number, serving, wrong
from tests.support.vendor import Vendor


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_is_counted_at_a_number_is_shown_and_lifted(database_url: str, vendor: Vendor) -> None:
    to = new_number()
    settings = storage_settings(database_url)
    async with serving(database_url, vendor) as service:
        started = await service.api.start(to)
        await service.api.check(started["id"], wrong(service.pin(to)))
        assert (await service.api.cancel(started["id"])).status_code == 200
        assert (await service.api.try_start(to)).json()["limit"] == "pause_per_number"
        shown = ok("budgets", "show", to, settings=settings).splitlines()
        assert {line.split("\t")[0] for line in shown} == {
            "sends_per_number",
            "pause_per_number",
            "failures_per_number",
        }
        assert any("1 wrong in a row, 9 left" in line for line in shown)
        assert ok("budgets", "clear", to, settings=settings).startswith("Lifted 4 limits and waits of ")
        assert (await service.api.try_start(to)).status_code == 201
    other = new_number()
    assert ok("budgets", "show", other, settings=settings) == f"Nothing is counted at {phone.mask(other)}.\n"


def test_any_other_spelling_of_a_number_is_refused() -> None:
    settings = storage_settings("sqlite:///none.db")
    spellings = ("573001234567", "+57 300 1234567", "00573001234567", "tel:+573001234567", "+57300\u0661234567", "")
    for spelling in spellings:
        done = here("budgets", "show", spelling, settings=settings)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert "E.164" in done.err
        assert len(done.err.splitlines()) == 1
