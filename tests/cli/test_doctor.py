"""`otp-service doctor`."""

import platform
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from otp_service.hashing import argon2
from otp_service.services.guard import counting
from otp_service.vault import generate_key_entry
from tests.support.notifications import opt_out
from tests.support.processes import Done, here, service_settings, together
from tests.support.receivers import LOOPBACK, add, post_due, receiving
from tests.support.servers import free_port
from tests.support.service import SECRET_KEYS, serving
from tests.support.stored_factors import add_codes, add_device, add_totp
from tests.support.vendor import PRIVATE_KEY, Vendor

WRONG_KEY = "0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def short_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of hashes is enough."""
    monkeypatch.setattr(import_module("otp_service.cli.doctor"), "HASHED_FOR_SECONDS", 0.0)


def findings(done: Done) -> dict[str, str]:
    """Subject -> `ok`, `look` or `WRONG`, and the advice; of several lines the last."""
    for secret in (PRIVATE_KEY, WRONG_KEY, SECRET_KEYS.partition(":")[2], "hush"):
        assert secret not in done.out + done.err
    assert done.err == ""
    marks = [line.split(maxsplit=2) for line in done.out.splitlines()]
    return {subject: f"{mark} {detail}" for mark, subject, detail in marks}


def looked(settings: dict[str, str]) -> Done:
    """The doctor's visit."""
    return here("doctor", settings=settings)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_where_all_is_well_it_ends_with_0(database_url: str, vendor: Vendor) -> None:
    before = vendor.messages()
    done = looked(service_settings(database_url, vendor))
    found = findings(done)
    assert done.code == 0
    assert list(found) == [
        "settings",
        "policy",
        "database",
        "schema",
        "keys",
        "factors",
        "numbers",
        "clock",
        "webhooks",
        "guard",
        "gateway",
        "argon2",
    ]
    assert {mark.split()[0] for name, mark in found.items() if name not in ("policy", "guard", "argon2")} == {"ok"}
    assert found["policy"].startswith("look ")
    assert "OTP_ALLOW_WEAK_ARGON2" in done.out
    assert ("one built for this one" in done.out) == (argon2.is_index_build() and argon2.has_avx2())
    assert vendor.messages() == before


def test_what_is_wrong_is_said_with_what_to_do(migrated_sqlite: Path, tmp_path: Path, vendor: Vendor) -> None:
    good = service_settings(f"sqlite:///{migrated_sqlite}", vendor)
    empty = tmp_path / "empty.db"
    empty.touch()
    cases = [
        ({"OTP_OGANGI_PRIVATE_KEY": WRONG_KEY}, "gateway", "check the public key, the private key"),
        ({"OTP_OGANGI_BASE_URL": f"http://127.0.0.1:{free_port()}/mmc"}, "gateway", "check the base URL"),
        ({"OTP_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}, "database", "otp-service migrate"),
        ({"OTP_DATABASE_URL": f"sqlite:///{empty}"}, "schema", "otp-service migrate"),
        ({"OTP_DATABASE_URL": f"postgresql://me:hush@/none?host={tmp_path}"}, "database", "check that it runs"),
    ]
    visits = together(*(partial(looked, {**good, **change}) for change, _, _ in cases))
    for done, (_, subject, advice) in zip(visits, cases, strict=True):
        found = findings(done)
        assert done.code == 1
        assert [name for name, mark in found.items() if mark.startswith("WRONG ")] == [subject]
        assert advice in found[subject]
    assert not (tmp_path / "none.db").exists()


def test_glibc_without_its_tunables_is_worth_a_look(migrated_sqlite: Path, vendor: Vendor) -> None:
    settings = service_settings(f"sqlite:///{migrated_sqlite}", vendor)
    for tunables, advised in (("", platform.libc_ver()[0] == "glibc"), ("glibc.malloc.hugetlb=1", False)):
        done = looked({**settings, "GLIBC_TUNABLES": tunables})
        assert done.code == 0
        assert ("GLIBC_TUNABLES" in done.out) == advised


def test_a_text_that_takes_two_messages_is_worth_a_look(migrated_sqlite: Path, tmp_path: Path, vendor: Vendor) -> None:
    config = tmp_path / "policy.toml"
    config.write_text(f'[purposes.login]\nbrand = "Acme"\n[purposes.login.text]\nes = "{"largo " * 30}{{pin}}"\n')
    done = looked(service_settings(f"sqlite:///{migrated_sqlite}", vendor, OTP_CONFIG_FILE=str(config)))
    assert done.code == 0
    assert "login in es takes 2 SMS" in done.out


def test_purposes_that_need_a_carrier_where_none_is_known_are_named(
    migrated_sqlite: Path, tmp_path: Path, vendor: Vendor
) -> None:
    config = tmp_path / "policy.toml"
    config.write_text('[purposes.signup]\nroutes = ["pin"]\n[purposes.login]\nroutes = ["sms", "mt"]\n')
    settings = service_settings(f"sqlite:///{migrated_sqlite}", vendor, OTP_CONFIG_FILE=str(config))
    del settings["OTP_OGANGI_CARRIER"]
    done = looked(settings)
    assert done.code == 0
    assert "no carrier is known and signup has no route without one" in done.out


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_key_that_was_taken_away_too_early_is_wrong(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as service:
        await service.api.start()
    done = looked(service_settings(database_url, vendor, OTP_SECRET_KEYS=generate_key_entry()))
    assert done.code == 1
    assert findings(done)["keys"].startswith(f"WRONG {SECRET_KEYS.partition(':')[0]} is still needed")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_webhooks_that_do_not_take_their_events_are_worth_a_look(database_url: str, vendor: Vendor) -> None:
    settings = service_settings(database_url, vendor)
    with receiving() as receiver:
        async with serving(database_url, vendor, webhook_networks=LOOPBACK) as service:
            hook = (await add(service.api, receiver.url))["id"]
            advice = f"`webhooks show {hook}` says why; once its receiver works, `webhooks replay {hook}`"
            assert webhooks_of(looked(settings)).startswith("ok ")
            service.shift(-7200)
            await service.api.cancel((await service.api.start())["id"])
            receiver.status = 500
            await post_due(service)
            found = looked(settings)
            assert found.code == 0
            assert re.fullmatch(rf"look {hook} of app-\d+ has taken no event since .*Z: {advice}", webhooks_of(found))
            service.shift(7200)
            receiver.status = 410
            await post_due(service)
            assert re.fullmatch(rf"look {hook} of app-\d+ is disabled: {advice}", webhooks_of(looked(settings)))
            receiver.status = 204
            await service.api.call("POST", f"/v1/webhooks/{hook}/test")
            trouble = rf"look {hook} of app-\d+ has failed events \(1\): {advice}"
            assert re.fullmatch(trouble, webhooks_of(looked(settings)))


def webhooks_of(done: Done) -> str:
    """What is said about webhooks."""
    return findings(done)["webhooks"]


@pytest.mark.parametrize(
    ("mode", "said"), [("record", "look only records"), ("off", "look off: set mode"), ("enforce", "ok enforced")]
)
def test_a_guard_that_is_not_enforced_is_worth_a_look(
    migrated_sqlite: Path, tmp_path: Path, vendor: Vendor, mode: str, said: str
) -> None:
    config = tmp_path / "policy.toml"
    config.write_text(f'[guard]\nmode = "{mode}"\n')
    done = looked(service_settings(f"sqlite:///{migrated_sqlite}", vendor, OTP_CONFIG_FILE=str(config)))
    assert done.code == 0
    assert findings(done)["guard"].startswith(said)


async def test_after_seven_days_it_says_what_an_enforced_guard_would_have_blocked(
    database_url: str, vendor: Vendor
) -> None:
    settings = service_settings(database_url, vendor)
    async with serving(database_url, vendor) as service:
        service.shift(-86400 * 6.9)
        await service.api.start()
        assert "would have blocked" not in looked(settings).out
        service.shift(-86400)
        await service.api.start()
        assert findings(looked(settings))["guard"] == "look in the last 7 days enforce would have blocked nothing"
        service.shift(86400)
        for index in range(8):
            started = await service.api.start(to := f"+57305321000{index}")
            await counting.work(service.ctx)
        await service.api.check(started["id"], service.pin(to))
        await counting.work(service.ctx)
    found = findings(looked(settings))["guard"]
    assert re.search(r"would have blocked \d+ by prefix \(1 approved after all\)", found)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_numbers_in_the_form_of_a_former_plan_are_worth_a_look(database_url: str, vendor: Vendor) -> None:
    settings = service_settings(database_url, vendor)
    async with serving(database_url, vendor) as service:
        await opt_out(service, "+22997123456")
    done = looked(settings)
    assert done.code == 0
    said = "look 1 are in a form that their country has changed: `numbers renumber`"
    assert findings(done)["numbers"] == said
    assert here("numbers", "renumber", settings=settings).code == 0
    assert findings(looked(settings))["numbers"].startswith("ok ")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_factors_that_no_key_reads_are_wrong_and_digests_without_a_key_are_worth_a_look(
    database_url: str, vendor: Vendor
) -> None:
    new = generate_key_entry()
    async with serving(database_url, vendor) as service:
        await add_totp(service, "u")
        await add_codes(service, "u", 3)
        await add_device(service, "u")
    settings = service_settings(database_url, vendor, OTP_SECRET_KEYS=new)
    done = looked(settings)
    assert done.code == 1
    assert findings(done)["factors"].startswith("WRONG no key of OTP_SECRET_KEYS reads 1 of them")
    both = service_settings(database_url, vendor, OTP_SECRET_KEYS=f"{new},{SECRET_KEYS}")
    assert here("secrets", "rewrap", settings=both).code == 0
    done = looked(settings)
    assert done.code == 0
    assert findings(done)["factors"].startswith("ok ")
    assert findings(done)["keys"].startswith("look ")
    assert "3 recovery codes and 1 devices are not accepted" in findings(done)["keys"]


@pytest.mark.parametrize(
    "settings", [{}, {"OTP_OGANGI_BASE_URL": "http://gateway.example/mmc", "OTP_ARGON2": "m=8,t=1,p=1"}]
)
def test_every_setting_that_is_missing_or_unsafe_is_named(settings: dict[str, str]) -> None:
    done = here("doctor", settings=settings)
    lines = done.out.splitlines()
    assert (done.code, done.err) == (1, "")
    assert all(line.startswith("WRONG  settings   OTP_") for line in lines)
    named = {line.split()[2].rstrip(":") for line in lines}
    assert named >= {"OTP_DATABASE_URL", "OTP_SECRET_KEYS", "OTP_OGANGI_PRIVATE_KEY", "OTP_COUNTRIES", *settings}


def test_each_active_test_number_is_named_masked(migrated_sqlite: Path, tmp_path: Path, vendor: Vendor) -> None:
    config, today = tmp_path / "policy.toml", datetime.now(UTC).date()
    config.write_text(
        f'[test_numbers]\n"+15005550006" = {{pin = "424242", until = {today}}}\n'
        f'"+15005550007" = {{pin = "424242", until = {today - timedelta(days=1)}}}\n'
    )
    done = looked(service_settings(f"sqlite:///{migrated_sqlite}", vendor, OTP_CONFIG_FILE=str(config)))
    assert f"the test number +1******0006 until {today}" in done.out
    assert "0007" not in done.out
    assert "424242" not in done.out
    assert "5005550006" not in done.out
