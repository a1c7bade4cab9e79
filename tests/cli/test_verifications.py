"""`otp-service verifications find`."""

import json
from functools import partial

import pytest
import sqlalchemy as sa

from otp_service.storage import tables
from tests.support.processes import failed, here, service_settings
from tests.support.service import Service, serving, wrong
from tests.support.stored_factors import add_totp
from tests.support.vendor import Vendor


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_an_operator_finds_the_whole_story_of_every_client_masked(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as service:
        first = await service.api.start(subject="u1", reference="r1")
        pin = service.pin(first["to"])
        await service.api.check(first["id"], wrong(pin))
        await service.api.check(first["id"], pin)
        other = await (await service.client("other")).start(subject="u1")
    settings = service_settings(database_url, vendor)
    by_number = here("verifications", "find", first["to"], "--json", settings=settings)
    (found,) = json.loads(by_number.out)["verifications"]
    assert (found["id"], found["status"], found["decoy"]) == (first["id"], "approved", False)
    assert found["number"] == f"+57******{first['to'][-4:]}"
    assert [event["type"] for event in found["events"]] == ["created", "send", "check", "check", "approved"]
    assert found["created_at"] == first["created_at"]
    by_subject = here("verifications", "find", "--subject", "u1", "--json", settings=settings)
    assert [each["id"] for each in json.loads(by_subject.out)["verifications"]] == [other["id"], first["id"]]
    by_id = here("verifications", "find", first["id"], "--reference", "r1", settings=settings)
    assert first["id"] in by_id.out
    assert "incorrect" in by_id.out
    for done in (by_number, by_subject, by_id):
        assert done.code == 0
        assert first["to"] not in done.out
        assert pin not in done.out.replace(first["id"], "")


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_challenges_and_enrolments_are_found_with_their_factor(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as service:
        started = await service.api.start(subject="u1")
        app = await add_totp(service, "u1")
        for challenge_id in ("chl_1", app):
            await service.ctx.database.write(partial(copy_as_challenge, started["id"], challenge_id, app))
    settings = service_settings(database_url, vendor)
    by_subject = here("verifications", "find", "--subject", "u1", "--json", settings=settings)
    found = {each["id"]: each["factor"] for each in json.loads(by_subject.out)["verifications"]}
    assert found == {started["id"]: None, "chl_1": app, app: app}
    for challenge_id in ("chl_1", app):
        by_id = here("verifications", "find", challenge_id, settings=settings)
        assert by_id.out.startswith(f"{challenge_id}\tpending\tlogin\ttotp\t-\t")
        assert f"factor {app}" in by_id.out


def copy_as_challenge(verification_id: str, challenge_id: str, factor_id: str, tx: sa.Connection) -> None:
    """Adds a challenge that is like a verification, without a message."""
    v = tables.verifications
    row = dict(tx.execute(sa.select(v).where(v.c.id == verification_id)).one()._mapping)
    changes = {"id": challenge_id, "factor_id": factor_id, "subject_id": 1, "slot": challenge_id}
    none = {"number_id": None, "number_masked": "", "purpose": "login", "channel": "totp"}
    tx.execute(sa.insert(v).values(row | changes | none))


async def test_nothing_found_is_said_and_nothing_asked_for_is_an_error(service: Service, database_url: str) -> None:
    settings = service_settings(database_url, service.vendor)
    assert "No verification matches" in here("verifications", "find", "--subject", "nobody", settings=settings).out
    assert here("verifications", "find", settings=settings).code == 2
    assert failed("verifications", "find", "5551234", settings=settings)
