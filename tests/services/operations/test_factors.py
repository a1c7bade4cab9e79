"""What time does to second factors, and that nothing which they need goes."""

import asyncio
from collections.abc import Mapping

import pytest
import sqlalchemy as sa

from otp_service.services.operations import retention
from otp_service.storage import numbers, tables
from otp_service.storage.factors import factors
from otp_service.storage.factors.failures import FACTORS, RECOVERY_CODES
from tests.services.operations.test_numbers import merge
from tests.services.operations.test_retention import DAY, count
from tests.support.service import Service, new_number, serving
from tests.support.stored_factors import add_codes, add_device, add_phone, add_totp, fail_checks, remove_factor
from tests.support.vendor import Vendor


async def sweep(service: Service) -> Mapping[str, int]:
    """What the sweeps of factors touched."""
    touched = await retention.sweep(service.ctx)
    ours = ("unverified_factors", "devices", "subject_failures", "idle_subjects", "numbers", "unused_numbers")
    return {name: touched[name] for name in ours if name in touched}


async def idle(service: Service) -> set[str]:
    """The subjects that have had no factor for a time."""
    statement = sa.select(tables.subjects.c.subject).where(tables.subjects.c.idle_since.is_not(None))
    return set(await service.ctx.database.read(lambda tx: tx.scalars(statement).all()))


async def test_an_app_that_was_not_verified_goes_after_ten_minutes(service: Service) -> None:
    await add_totp(service, "new", is_verified=False)
    await add_totp(service, "known")
    await add_totp(service, "known", is_verified=False)
    service.shift(599)
    assert await sweep(service) == {}
    service.shift(1)
    assert await sweep(service) == {"unverified_factors": 2}
    assert await count(service, tables.factors) == 1
    assert await idle(service) == {"new"}, "the other one has a factor left"


@pytest.mark.both_databases
async def test_a_factor_that_is_verified_while_it_is_swept_stays(service: Service) -> None:
    factor_id = await add_totp(service, "u", is_verified=False)
    now = service.ctx.clock.now()
    await service.ctx.database.write(lambda tx: factors.activate(tx, factor_id, step=1, now=now))
    service.shift(601)
    assert await sweep(service) == {}
    assert await count(service, tables.factors) == 1


async def test_a_device_goes_when_it_expires(service: Service) -> None:
    await add_totp(service, "u")
    await add_device(service, "u", 3600)
    await add_device(service, "u", 7200)
    service.shift(3600)
    assert await sweep(service) == {"devices": 1}
    assert await count(service, tables.devices) == 1


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_wrong_checks_of_a_subject_go_after_thirty_days_unless_a_wait_remains(service: Service) -> None:
    await add_totp(service, "u")
    await fail_checks(service, "u", FACTORS)
    await fail_checks(service, "u", RECOVERY_CODES, wait=40 * DAY)
    service.shift(30 * DAY - 1)
    assert await sweep(service) == {}
    service.shift(1)
    assert await sweep(service) == {"subject_failures": 1}
    service.shift(10 * DAY)
    assert await sweep(service) == {"subject_failures": 1}


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_a_subject_without_a_factor_goes_after_thirty_days_with_its_codes(service: Service) -> None:
    factor_id = await add_totp(service, "left")
    await add_totp(service, "stays")
    for subject in ("left", "stays"):
        await add_codes(service, subject)
    service.shift(100 * DAY)
    await remove_factor(service, "left", factor_id)
    await add_device(service, "left", 300 * DAY)
    service.shift(30 * DAY - 1)
    assert await sweep(service) == {}
    service.shift(1)
    assert await sweep(service) == {"idle_subjects": 1}
    assert (await count(service, tables.subjects), await count(service, tables.recovery_codes)) == (1, 2)
    assert await count(service, tables.devices) == 0


async def test_a_subject_that_gets_a_factor_in_time_stays(service: Service) -> None:
    await remove_factor(service, "u", await add_totp(service, "u"))
    service.shift(29 * DAY)
    await add_totp(service, "u")
    service.shift(29 * DAY)
    assert await sweep(service) == {}


async def test_a_subject_stays_as_long_as_it_waits(service: Service) -> None:
    await remove_factor(service, "u", await add_totp(service, "u"))
    await fail_checks(service, "u", RECOVERY_CODES, wait=40 * DAY)
    service.shift(31 * DAY)
    assert await sweep(service) == {}
    service.shift(10 * DAY)
    assert await sweep(service) == {"subject_failures": 1, "idle_subjects": 1}


async def test_a_subject_stays_as_long_as_a_challenge_of_it_can_be_checked(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"retention": {"counters": 0}}) as service:
        await remove_factor(service, "u", await add_totp(service, "u"))
        service.shift(600)
        assert await sweep(service) == {}
        service.shift(15)
        assert await sweep(service) == {"idle_subjects": 1}


async def number_of(service: Service, factor_id: str) -> str | None:
    """The number of a factor, None if it cannot be read."""
    n, f = tables.numbers.c, tables.factors.c
    statement = sa.select(n.sealed).where(n.id == sa.select(f.number_id).where(f.id == factor_id).scalar_subquery())
    sealed = await service.ctx.database.read(lambda tx: tx.scalar(statement))
    return numbers.open_number(service.ctx.vault, sealed)


async def test_the_number_of_a_factor_is_readable_as_long_as_the_factor_exists(service: Service) -> None:
    to = new_number()
    factor_id = await add_phone(service, "u", to)
    for _ in range(3):
        service.shift(400 * DAY)
        await sweep(service)
        assert await number_of(service, factor_id) == to
    await remove_factor(service, "u", factor_id)
    service.shift(DAY + 3600)
    assert await sweep(service) == {"numbers": 1}
    assert await count(service, tables.numbers, tables.numbers.c.sealed.is_not(None)) == 0
    service.shift(31 * DAY)
    assert await sweep(service) == {"idle_subjects": 1, "unused_numbers": 1}


async def test_a_number_that_a_factor_refers_to_is_not_deleted_even_if_it_was_wiped(service: Service) -> None:
    await add_phone(service, "u", new_number())
    wiped = sa.update(tables.numbers).values(sealed=None)
    await service.ctx.database.write(lambda tx: tx.execute(wiped).rowcount)
    service.shift(100 * DAY)
    assert await sweep(service) == {}
    assert await count(service, tables.numbers) == 1


@pytest.mark.both_databases
async def test_a_factor_moves_when_two_rows_of_its_number_become_one(service: Service) -> None:
    to, twin = new_number(), new_number()
    of_dropped, of_kept = await add_phone(service, "u", to), await add_phone(service, "other", twin)
    await merge(service, keep=twin, drop=to)
    assert [await number_of(service, each) for each in (of_dropped, of_kept)] == [twin, twin]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_sweeps_skip_a_subject_that_somebody_changes(service: Service) -> None:
    await add_totp(service, "u", is_verified=False)
    await remove_factor(service, "idle", await add_totp(service, "idle"))
    service.shift(31 * DAY)
    with service.ctx.database.engine.connect() as tx, tx.begin():
        tx.execute(sa.select(tables.subjects).with_for_update()).all()
        assert await asyncio.wait_for(sweep(service), 5) == {}
    assert await sweep(service) == {"unverified_factors": 1, "idle_subjects": 1}
