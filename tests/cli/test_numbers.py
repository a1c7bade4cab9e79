"""`otp-service budgets` and `numbers`."""

import json
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.storage import numbers, tables
from otp_service.vault import SealedFor
from tests.support.notifications import opt_out
from tests.support.people import rows
from tests.support.processes import here, ok, storage_settings
from tests.support.service import Service, new_number, serving, wrong
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


FORMER, PRESENT = "+22997123456", "+2290197123456"
"""A number of Benin before and after its country's change of plan."""


async def stored(service: Service) -> list[str | None]:
    """Returns the stored numbers."""
    return [numbers.open_number(service.ctx.vault, row["sealed"]) for row in await rows(service, tables.numbers)]


async def test_renumber_writes_numbers_in_their_present_form_and_merges_what_two_rows_say(
    database_url: str, vendor: Vendor
) -> None:
    alone, settings = "+22997654321", storage_settings(database_url)
    async with serving(database_url, vendor) as service:
        await opt_out(service, PRESENT, opted_out=False)
        await opt_out(service, FORMER)
        await opt_out(service, alone)
        before = [PRESENT, FORMER, alone]
        for option, printed, after in (
            ("--dry-run", "2 numbers would be in their present form.\n", before),
            ("", "2 numbers are now in their present form.\n", [PRESENT, "+2290197654321"]),
            ("", "0 numbers are now in their present form.\n", [PRESENT, "+2290197654321"]),
        ):
            assert ok("numbers", "renumber", *option.split(), settings=settings) == printed
            assert sorted(map(str, await stored(service))) == sorted(after)
        assert (await service.api.try_start(PRESENT)).json()["code"] == "opted_out"


@pytest.mark.parametrize("form", [FORMER, PRESENT])
async def test_commands_find_a_number_by_its_former_form_whatever_form_is_stored(
    database_url: str, vendor: Vendor, form: str
) -> None:
    settings, masked = storage_settings(database_url), phone.mask(PRESENT)

    def store(tx: Connection) -> None:
        ((number_id, _),) = numbers.list_readable(tx, after=0, limit=2)
        vault = service.ctx.vault
        digest = vault.digests(form)[vault.writing_key_id]
        numbers.rewrite(tx, number_id, digest=digest, sealed=vault.seal(SealedFor.NUMBER, form.encode()))

    async with serving(database_url, vendor) as service:
        started = await service.api.start(PRESENT)
        await opt_out(service, PRESENT)
        await service.ctx.database.write(store)
        assert await stored(service) == [form]

        found: dict[str, Any] = json.loads(ok("verifications", "find", FORMER, "--json", settings=settings))
        assert [each["id"] for each in found["verifications"]] == [started["id"]]
        searched = await service.api.call("POST", "/v1/verifications/search", {"to": FORMER})
        assert [each["id"] for each in searched.json()["verifications"]] == [started["id"]]
        assert "sends_per_number\t" in ok("budgets", "show", FORMER, settings=settings)
        assert ok("budgets", "clear", FORMER, settings=settings).endswith(f" limits and waits of {masked}.\n")
        assert ok("budgets", "show", FORMER, settings=settings) == f"Nothing is counted at {masked}.\n"
        assert ok("opt-outs", "show", FORMER, settings=settings).startswith(f"{masked}\topted out\tby user\t")
        assert ok("opt-outs", "lift", FORMER, settings=settings) == f"{masked} gets messages again.\n"
