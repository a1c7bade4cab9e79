"""Rotating OTP_SECRET_KEYS: nobody gets new guesses, nothing is lost, and a key taken away too early breaks nothing."""

from typing import Any

import pytest
import sqlalchemy as sa

from otp_service.services.operations import retention, rotation
from otp_service.storage import tables
from otp_service.vault import SealedFor, generate_key_entry
from tests.support.service import NO_LIMITS, Api, Service, new_number, serving, wrong
from tests.support.stored_factors import add_codes, add_device, add_phone, add_totp
from tests.support.vendor import Vendor

OLD, NEW = generate_key_entry(), generate_key_entry()
OLD_ID, NEW_ID = OLD.partition(":")[0], NEW.partition(":")[0]
CONFIG: dict[str, Any] = {"limits": {**NO_LIMITS, "failures_per_number": {"free": 3, "first_wait": 3600}}}


async def guess(api: Api, service: Service, to: str, count: int) -> dict[str, Any]:
    started = await api.start(to)
    for _ in range(count):
        assert await api.check(started["id"], wrong(service.pin(to))) == "incorrect"
    return started


@pytest.mark.both_databases
async def test_a_rotation_in_steps_keeps_counts_numbers_and_pending_pins(database_url: str, vendor: Vendor) -> None:
    to, pending_to = new_number(), new_number()
    async with serving(database_url, vendor, CONFIG, secret_keys=OLD) as service:
        started = await guess(service.api, service, to, 2)
        pending = await service.api.start(pending_to)
        key = service.api.api_key
    async with serving(database_url, vendor, CONFIG, secret_keys=f"{NEW},{OLD}") as service:
        api = Api(service.http, key)
        other = new_number()
        await api.start(other)
        uses = {use.key_id: use for use in await rotation.status(service.ctx.database, service.ctx.vault)}
        assert uses[OLD_ID].indexes
        assert uses[OLD_ID].needed
        seen: list[int] = []
        assert await rotation.rewrap(service.ctx.database, service.ctx.vault, service.ctx.clock, seen.append) == 3
        assert seen
        assert await api.check(pending["id"], service.pin(pending_to)) == "approved"
        uses = {use.key_id: use for use in await rotation.status(service.ctx.database, service.ctx.vault)}
        assert uses[NEW_ID].indexes
        assert (uses[OLD_ID].numbers, uses[OLD_ID].live_pins) == (0, 2), "PINs that are not yet wiped"
        service.shift(600)
        await retention.sweep(service.ctx)
        service.shift(61)
        await retention.sweep(service.ctx)
        assert OLD_ID in {
            u.key_id for u in await rotation.status(service.ctx.database, service.ctx.vault) if not u.needed
        }
    async with serving(database_url, vendor, CONFIG, secret_keys=NEW) as service:
        api = Api(service.http, key)
        assert (await api.read(started["id"]))["to"] == to
        await api.cancel(started["id"])
        again = await guess(api, service, to, 1)
        assert await api.check(again["id"], service.pin(to)) == "locked", "two of before and one of now"


async def test_a_number_that_was_wiped_keeps_its_count_under_the_old_key(database_url: str, vendor: Vendor) -> None:
    to = new_number()
    async with serving(database_url, vendor, CONFIG, secret_keys=OLD) as service:
        await guess(service.api, service, to, 2)
        key = service.api.api_key
        service.shift(2 * 86400)
        await retention.sweep(service.ctx)
    async with serving(database_url, vendor, CONFIG, secret_keys=f"{NEW},{OLD}") as service:
        assert await rotation.rewrap(service.ctx.database, service.ctx.vault, service.ctx.clock, lambda _: None) == 0
        uses = {use.key_id: use for use in await rotation.status(service.ctx.database, service.ctx.vault)}
        assert uses[OLD_ID].needed
        again = await guess(Api(service.http, key), service, to, 1)
        assert (await Api(service.http, key).try_check(again["id"], service.pin(to))).json()["result"] == "locked"
        assert await rotation.rewrap(service.ctx.database, service.ctx.vault, service.ctx.clock, lambda _: None) == 1


async def test_a_key_taken_away_too_early_hides_the_number_and_approves_nothing(
    database_url: str, vendor: Vendor
) -> None:
    to = new_number()
    async with serving(database_url, vendor, CONFIG, secret_keys=OLD) as service:
        started = await service.api.start(to)
        key, pin = service.api.api_key, service.pin(to)
    async with serving(database_url, vendor, CONFIG, secret_keys=NEW) as service:
        api = Api(service.http, key)
        assert (await api.read(started["id"]))["to"] is None
        answer = await api.try_check(started["id"], pin)
        assert (answer.status_code, answer.json()["result"]) == (200, "incorrect")
        service.shift(31)
        assert (await api.resend(started["id"])).status_code == 409
        assert (await api.start(to))["to"] == to
    async with serving(database_url, vendor, CONFIG, secret_keys=f"{NEW},{OLD}") as service:
        assert (await Api(service.http, key).read(started["id"]))["to"] == to, "put back, nothing is lost"


async def test_secrets_of_apps_and_numbers_of_phones_move_and_digests_stay(database_url: str, vendor: Vendor) -> None:
    to = new_number()
    async with serving(database_url, vendor, CONFIG, secret_keys=OLD) as service:
        apps = [await add_totp(service, "u") for _ in range(3)]
        await add_phone(service, "u", to)
        await add_codes(service, "u", 4)
        await add_device(service, "u")
    async with serving(database_url, vendor, CONFIG, secret_keys=f"{NEW},{OLD}") as service:
        database, vault, clock = service.ctx.database, service.ctx.vault, service.ctx.clock
        before = await secret_of(service, apps[0])
        assert before is not None
        uses = {use.key_id: use for use in await rotation.status(database, vault)}
        assert (uses[OLD_ID].totp_secrets, uses[OLD_ID].recovery_codes, uses[OLD_ID].devices) == (3, 4, 1)
        assert await rotation.rewrap(database, vault, clock, lambda _: None) == 4, "three secrets and a number"
        assert await rotation.rewrap(database, vault, clock, lambda _: None) == 0
        uses = {use.key_id: use for use in await rotation.status(database, vault)}
        assert (uses[NEW_ID].totp_secrets, uses[NEW_ID].numbers) == (3, 1)
        old = uses[OLD_ID]
        assert (old.reads, old.needed, old.recovery_codes, old.devices) == (False, True, 4, 1)
    async with serving(database_url, vendor, CONFIG, secret_keys=NEW) as service:
        assert await secret_of(service, apps[0]) == before
        assert await rotation.unusable_factors(service.ctx.database, service.ctx.vault) == 0


async def secret_of(service: Service, factor_id: str) -> bytes | None:
    statement = sa.select(tables.factors.c.secret_sealed).where(tables.factors.c.id == factor_id)
    sealed = await service.ctx.database.read(lambda tx: tx.scalar(statement))
    return service.ctx.vault.open(SealedFor.TOTP_SECRET, sealed)


async def test_a_factor_that_no_key_reads_is_counted(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, CONFIG, secret_keys=OLD) as service:
        await add_totp(service, "u")
        await add_phone(service, "u", new_number())
    async with serving(database_url, vendor, CONFIG, secret_keys=NEW) as service:
        await add_totp(service, "u")
        assert await rotation.unusable_factors(service.ctx.database, service.ctx.vault) == 2


@pytest.mark.both_databases
async def test_replicas_with_other_first_keys_agree_on_one_row_per_number(database_url: str, vendor: Vendor) -> None:
    to = new_number()
    async with (
        serving(database_url, vendor, CONFIG, secret_keys=f"{OLD},{NEW}") as before,
        serving(database_url, vendor, CONFIG, secret_keys=f"{NEW},{OLD}") as after,
    ):
        await guess(before.api, before, to, 2)
        again = await guess(Api(after.http, before.api.api_key), after, to, 1)
        assert again["status"] == "pending"
        result = await before.api.check(again["id"], before.pin(to))
        assert result == "locked"
