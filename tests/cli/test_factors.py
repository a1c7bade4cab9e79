"""`otp-service factors`."""

import json
from typing import Any

import pytest
import segno
import sqlalchemy as sa

from otp_service.services.clients import clients
from otp_service.storage import tables
from otp_service.storage.factors.failures import FACTORS, RECOVERY_CODES
from tests.services.operations.test_retention import count
from tests.support.processes import failed, here, ok, storage_settings
from tests.support.service import Service, new_number, serving
from tests.support.stored_factors import add_codes, add_device, add_phone, add_totp, fail_checks
from tests.support.vendor import Vendor

URI = "otpauth://totp/Example:ana%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example"


async def name_of(service: Service) -> str:
    """The name of the first client."""
    return await service.ctx.database.read(lambda tx: str(tx.scalar(sa.select(tables.clients.c.name))))


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_an_operator_sees_what_a_user_has_and_lifts_its_lock(database_url: str, vendor: Vendor) -> None:
    to, settings = new_number(), storage_settings(database_url)
    async with serving(database_url, vendor) as service:
        client = await name_of(service)
        app, phone = await add_totp(service, "ana"), await add_phone(service, "ana", to)
        await add_codes(service, "ana", 7)
        device = await add_device(service, "ana")
        await fail_checks(service, "ana", FACTORS, wait=100)
        await fail_checks(service, "ana", RECOVERY_CODES)
        shown = ok("factors", "show", client, "ana", settings=settings)
        found: dict[str, Any] = json.loads(ok("factors", "show", client, "ana", "--json", settings=settings))
        assert ok("factors", "unlock", client, "ana", settings=settings) == "Cleared 2 counts of wrong checks.\n"
        assert await count(service, tables.subject_failures) == 0
        after = ok("factors", "show", client, "ana", settings=settings)
    masked = f"+57******{to[-4:]}"
    assert f"{app}\ttotp\tlocked\t-\t" in shown
    assert f"{phone}\tsms\tlocked\t{masked}\t" in shown
    assert "recovery codes\t7 left\tmade 20" in shown
    assert f"{device}\tdevice\texpires 20" in shown
    assert "failures of factors\t9 wrong in a row\twaits until 20" in shown
    assert "failures of recovery_codes\t9 wrong in a row\tno wait" in shown
    assert to not in shown
    assert {(each["id"], each["status"], each["number"]) for each in found["factors"]} == {
        (app, "locked", None),
        (phone, "locked", masked),
    }
    assert (found["subject"], found["recovery_codes"]["remaining"]) == ("ana", 7)
    assert [each["id"] for each in found["devices"]] == [device]
    assert {each["kind"]: each["free_at"] is None for each in found["failures"]} == {
        "factors": False,
        "recovery_codes": True,
    }
    assert f"{app}\ttotp\tactive\t" in after
    assert "failures" not in after


async def test_a_subject_of_another_client_and_an_unknown_client_are_not_found(
    service: Service, database_url: str
) -> None:
    settings, client = storage_settings(database_url), await name_of(service)
    await add_totp(service, "ana")
    await clients.create(service.ctx.database, service.ctx.clock, "elsewhere")
    for command in ("show", "unlock"):
        assert failed("factors", command, client, "bob", settings=settings) == ["error: No such subject with factors."]
        assert failed("factors", command, "elsewhere", "ana", settings=settings)
        (unknown,) = failed("factors", command, "nobody", "ana", settings=settings)
        assert "There is no client nobody" in unknown


def modules(drawn: str, size: int) -> list[list[bool]]:
    """The dark modules that half blocks of a terminal show, inside a margin of four."""
    rows = [[block in dark for block in line] for line in drawn.splitlines() for dark in (" \u2584", " \u2580")]
    return [row[4 : 4 + size] for row in rows[4 : 4 + size]]


def test_the_qr_code_in_the_terminal_is_that_of_the_uri() -> None:
    expected = [[bool(module) for module in row] for row in segno.make(URI, error="l").matrix]
    for given in (URI, f"{URI}\n"):
        done = here("factors", "qr", settings={}, stdin=given)
        assert (done.code, done.err) == (0, "")
        assert modules(done.out, len(expected)) == expected


@pytest.mark.parametrize(
    "given", ["", "secret-JBSWY3DP", f"{URI}\n{URI}", f"{URI}{'0' * 1000}", f"{URI}\x1b", f"{URI}é"]
)
def test_anything_but_one_uri_is_refused_and_not_shown(given: str) -> None:
    done = here("factors", "qr", settings={}, stdin=given)
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: Standard input must be one otpauth:// URI of at most 1000 ASCII characters.\n"


def test_the_uri_is_no_argument() -> None:
    assert here("factors", "qr", URI, settings={}).code == 2
