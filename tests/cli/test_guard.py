"""`otp-service guard`."""

import itertools
import json
import re
from typing import Any

import pytest

from otp_service import phone
from otp_service.guard.rules import RULES
from otp_service.services.guard import counting, lists, takeovers
from otp_service.services.guard.for_operator import export as export_service
from otp_service.services.guard.for_operator import history
from tests.support.processes import failed, here, ok, storage_settings
from tests.support.service import AT_ONCE, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

ENFORCED: dict[str, Any] = {"guard": {"mode": "enforce"}}
BLOCK = "+57305123"
"""Of 10,000 numbers that no other test uses."""

_pumped = itertools.count()


async def counted(service: Service) -> None:
    """Counts what waits."""
    while await counting.work(service.ctx):
        pass


async def pump(service: Service, count: int) -> list[int]:
    """Asks for PINs to new numbers in a row, which nobody answers; the status codes."""
    codes = []
    for _ in range(count):
        index = next(_pumped)
        answer = await service.api.try_start(f"{BLOCK}{index:04d}", user_ip=f"192.0.2.{index % 250}")
        codes.append(answer.status_code)
        await counted(service)
    return codes


async def sign_up(service: Service, to: str, **fields: Any) -> dict[str, Any]:
    """An honest sign-up; the verification."""
    started = await service.api.start(to, **fields)
    assert await service.api.check(started["id"], service.pin(to)) == "approved"
    await counted(service)
    return started


def read_json(*arguments: str, settings: dict[str, str]) -> list[dict[str, Any]]:
    """The lines of JSON that a command prints."""
    return [json.loads(line) for line in ok(*arguments, settings=settings).splitlines()]


@pytest.mark.both_databases
async def test_status_shows_what_rules_blocked_or_would_have_and_money_and_takeovers(
    database_url: str, vendor: Vendor
) -> None:
    config = {"guard": {"rules": {"client": "enforce"}, "ceilings": {"total": "20/day", "country": "5/hour; 9/day"}}}
    settings = storage_settings(database_url)
    async with serving(database_url, vendor, config) as service:
        started = await service.api.start(to := new_number())
        await service.api.check(started["id"], wrong(service.pin(to)))
        await takeovers.measure(service.ctx)
        codes = await pump(service, 20)
        (shown,) = read_json("guard", "status", "--json", settings=settings)
        by_rule = {each["rule"]: each for each in shown["rules"]}
        assert list(by_rule) == [*RULES, "deny"]
        assert (shown["mode"], by_rule["prefix"]["mode"], by_rule["deny"]["mode"]) == ("record", "record", "enforce")
        for span in ("last_hour", "last_day"):
            assert sum(each[span]["blocked"] for each in by_rule.values()) == codes.count(403)
            assert by_rule["prefix"][span]["would_be_blocked"] > 0
        (total, *_) = [each for each in shown["ceilings"] if each["scope"] == "total"]
        assert total["spent"] == pytest.approx(0.05 * (codes.count(201) + 1))
        (taken,) = shown["takeovers"]
        assert (taken["purpose"], taken["expected"]) == ("signup", pytest.approx(1e-6))
        text = ok("guard", "status", settings=settings)
        assert f"takeovers {taken['client']} signup\t1e-06 expected in the last hour, alarm above 0.01\n" in text
        would_be = by_rule["prefix"]["last_day"]["would_be_blocked"]
        assert f"rule prefix\trecord\tlast hour: 0 blocked, {would_be} would be, 0 approved after all" in text
        assert "guard\trecord\tstrictness 1" in text
        assert re.search(r"^ceiling country CO\t\d\.\d\d of 5\.00 this hour\tnot in this policy$", text, re.MULTILINE)


async def test_status_shows_ceilings_of_the_policy_under_which_nothing_is_spent(migrated: str, tmp_path: Any) -> None:
    config = tmp_path / "policy.toml"
    config.write_text('[guard]\nmode = "enforce"\n[guard.ceilings]\ntotal = "200/day"\n')
    settings = storage_settings(migrated, OTP_CONFIG_FILE=str(config))
    text = ok("guard", "status", settings=settings)
    assert "ceiling total\t0.00 of 200.00 this day\n" in text
    assert "rule volume\tenforce\tlast hour: 0 blocked, 0 would be" in text


@pytest.mark.both_databases
async def test_status_says_that_a_ceiling_is_not_in_the_policy_any_more(
    migrated: str, vendor: Vendor, tmp_path: Any
) -> None:
    async with serving(migrated, vendor, {"guard": {"ceilings": {"total": "20/day"}}}) as service:
        await service.api.start()
    settings = storage_settings(migrated)
    of_policy = settings | {"OTP_CONFIG_FILE": str(tmp_path / "otp.toml")}
    (tmp_path / "otp.toml").write_text('[guard.ceilings]\ntotal = "20/day"\n')
    assert "ceiling total\t0.05 of 20.00 this day\n" in ok("guard", "status", settings=of_policy)
    assert "ceiling total\t0.05 of 20.00 this day\tnot in this policy\n" in ok("guard", "status", settings=settings)


async def test_decisions_are_shown_newest_first_with_what_the_rule_saw_page_by_page(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE", 3)
    settings = storage_settings(database_url)
    async with serving(database_url, vendor) as service:
        assert await pump(service, 15) == [201] * 15
        shown = read_json("guard", "decisions", "--json", settings=settings)
        assert len(shown) > 6
        assert [each["at"] for each in shown] == sorted((each["at"] for each in shown), reverse=True)
        newest = shown[0]
        assert newest["number"] == f"{BLOCK}****"
        assert (newest["mode"], newest["action"], newest["approved_at"]) == ("record", "sent", None)
        assert (newest["country"], newest["purpose"]) == ("CO", "signup")
        assert newest["client"].startswith("app-")
        assert newest["reasons"][0]["seen"] > newest["reasons"][0]["limit"]
        text = ok("guard", "decisions", settings=settings).splitlines()
        assert [line.split("\t")[1] for line in text] == [each["id"] for each in shown]
        assert "\tprefix (record)\tsent\tnot approved\tprefix: " in text[-1]
        assert f"{BLOCK}00" not in "".join(text)
        assert f"\tnetwork {newest['network']}\t" in text[0]


async def test_decisions_are_chosen_by_age_rule_and_country(migrated: str, vendor: Vendor) -> None:
    settings = storage_settings(migrated)
    async with serving(migrated, vendor) as service:
        service.shift(-7200)
        await pump(service, 8)
        everything = ok("guard", "decisions", "--since", "3h", settings=settings)
        assert everything != "No decision matches.\n"
        for narrower in (("--since", "1h"), ("--rule", "volume"), ("--country", "mx")):
            assert ok("guard", "decisions", *narrower, settings=settings) == "No decision matches.\n"
            assert ok("guard", "decisions", *narrower, "--json", settings=settings) == ""
        same = ok("guard", "decisions", "--since", "1d", "--rule", "prefix", "--country", "co", settings=settings)
        assert same == everything


async def test_a_decision_about_a_number_that_was_approved_after_all_says_so(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor) as service:
        await pump(service, 8)
        await sign_up(service, f"{BLOCK}9999")
        newest, *_ = ok("guard", "decisions", settings=storage_settings(migrated)).splitlines()
        assert re.search(r"\tapproved 20\S+Z\t", newest)
        (shown,) = read_json("guard", "status", "--json", settings=storage_settings(migrated))
        assert sum(each["last_hour"]["approved"] for each in shown["rules"]) == 1


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("--since", "yesterday"), "A period is a number and s, m, h or d, for example 24h."),
        (("--rule", "magic"), "'magic' is not one of 'prefix'"),
        (("--country", "Colombia"), "A country is an ISO 3166 code, for example CO."),
    ],
)
def test_a_wrong_choice_of_decisions_is_named(arguments: tuple[str, str], advice: str) -> None:
    done = here("guard", "decisions", *arguments, settings=storage_settings("sqlite:///none.db"))
    assert (done.code, done.out) == (2, "")
    assert advice in done.err


async def test_a_listed_prefix_is_let_through_or_not_until_it_is_forgotten(migrated: str, vendor: Vendor) -> None:
    settings = storage_settings(migrated)
    async with serving(migrated, vendor, ENFORCED) as service:

        async def codes() -> list[int]:
            await lists.refresh(service.ctx.database, service.ctx.clock, service.ctx.guard_lists)
            return await pump(service, 12)

        assert 403 in await codes()
        assert ok("guard", "allow", "+57 305-123", settings=settings).startswith(f"{BLOCK} is let through. It counts")
        assert 403 not in await codes()
        said = ok("guard", "deny", "+57 305", "--note", "pumped", "--until", "2999-12-31", settings=settings)
        assert said == "No PIN is sent to +57305. It counts within 5 seconds in every process.\n"
        assert 403 not in await codes(), "the longer prefix counts"
        listed = ok("guard", "lists", settings=settings).splitlines()
        assert listed == ["+57305\tdeny\tuntil 2999-12-31T23:59:59.000Z\tpumped", f"{BLOCK}\tallow\tfor ever"]
        (shown,) = read_json("guard", "lists", "--json", settings=settings)
        assert [(each["prefix"], each["verdict"], each["note"]) for each in shown["entries"]] == [
            ("+57305", "deny", "pumped"),
            (BLOCK, "allow", None),
        ]
        assert shown["entries"][0]["until"] == "2999-12-31T23:59:59.000Z"
        assert ok("guard", "forget", BLOCK, settings=settings).startswith(f"{BLOCK} is not listed any more. ")
        assert await codes() == [403] * 12
        (newest, *_) = read_json("guard", "decisions", "--json", "--rule", "deny", settings=settings)
        assert (newest["mode"], newest["reasons"]) == ("enforce", [])


def test_an_entry_that_is_replaced_is_shown_and_a_prefix_may_be_copied_from_a_decision(migrated: str) -> None:
    settings = storage_settings(migrated)
    ok("guard", "allow", "+57301555****", "--note", "ours", settings=settings)
    said = ok("guard", "deny", "+57301555", settings=settings)
    assert said.startswith("It replaces: allow\tfor ever\tours\nNo PIN is sent to +57301555.")


def test_what_cannot_be_listed_or_forgotten_is_said(migrated: str) -> None:
    settings = storage_settings(migrated)
    assert ok("guard", "lists", settings=settings) == "No prefix is listed.\n"
    assert read_json("guard", "lists", "--json", settings=settings) == [{"entries": []}]
    (error,) = failed("guard", "forget", "+57300", settings=settings)
    assert error == "error: +57300 is not listed; `guard lists` shows what is."
    for wrongly in ("57300", "+0", "+", "+1234567890123456", "+57٣00", "+57x", ""):
        (error,) = failed("guard", "allow", wrongly, settings=settings)
        assert error.startswith("error: Write a prefix as `+` and 1 to 15 digits")
    (error,) = failed("guard", "deny", "+57300", "--until", "2020-01-01", settings=settings)
    assert error == "error: --until is in the past; nothing was changed."
    done = here("guard", "deny", "+57300", "--until", "soon", settings=settings)
    assert done.code == 2
    assert "A time is like 2026-12-31 or 2026-12-31T18:00:00Z." in done.err


def test_a_whole_number_is_masked_in_what_is_said_about_it(migrated: str) -> None:
    settings, number = storage_settings(migrated), new_number()
    said = ok("guard", "allow", number, settings=settings) + ok("guard", "deny", number, settings=settings)
    said += ok("guard", "forget", number, settings=settings)
    said += "".join(failed("guard", "forget", number, settings=settings))
    assert number not in said
    assert said.count(phone.mask(number)) == 4


async def test_a_reset_forgets_what_is_held_against_numbers_a_client_or_everybody(
    migrated: str, vendor: Vendor
) -> None:
    settings = storage_settings(migrated)
    async with serving(migrated, vendor, ENFORCED) as service:
        (client_id, name), *_ = [line.split("\t")[:2] for line in ok("clients", "list", settings=settings).splitlines()]
        assert (await pump(service, 12))[-1] == 403
        assert re.fullmatch(r"Forgot [1-9]\d* rows of counters\.\n", ok("guard", "reset", "+57 305", settings=settings))
        assert await pump(service, 1) == [201]
        one = f"{BLOCK}0007"
        assert re.fullmatch(r"Forgot [1-9]\d* rows of counters\.\n", ok("guard", "reset", one, settings=settings))
        await pump(service, 12)
        for client in (name, client_id):
            await pump(service, 12)
            forgot = ok("guard", "reset", client, settings=settings)
            assert re.fullmatch(r"Forgot [1-9]\d* rows of counters\.\n", forgot)
        done = here("guard", "reset", settings=settings, stdin="n\n")
        assert done.code == 1
        assert "Forget everything that the guard has counted?" in done.err
        assert (await pump(service, 12))[-1] == 403
        ok("guard", "reset", "--yes", settings=settings)
        assert await pump(service, 1) == [201]
        assert ok("guard", "reset", "--yes", settings=settings) != "Forgot 0 rows of counters.\n"
    (error,) = failed("guard", "reset", "nobody", settings=settings)
    assert error == "error: There is no client nobody; `clients list` shows them."


@pytest.mark.both_databases
async def test_rehearse_takes_every_exported_number_also_of_small_plans(
    migrated: str, vendor: Vendor, tmp_path: Any
) -> None:
    small = [f"+690728{number}" for number in range(3)]
    async with serving(migrated, vendor) as service:
        sent = [await service.api.try_start(to) for to in small]
    assert [answer.status_code for answer in sent] == [201] * len(small)
    events = tmp_path / "events.jsonl"
    settings = storage_settings(migrated)
    events.write_text(ok("guard", "export", settings=settings))
    assert "all" in ok("rehearse", str(events), settings=settings)


async def test_an_export_has_every_message_and_every_blocked_request_and_rehearse_reads_it(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(export_service, "PAGE", 4)
    settings, config = storage_settings(database_url), {**ENFORCED, "purposes": {"signup": AT_ONCE}}
    async with serving(database_url, vendor, config) as service:
        service.shift(-3600)
        await sign_up(service, new_number(), user_ip="198.51.100.1")
        resent = await service.api.start(to := new_number(), user_ip="198.51.100.1")
        service.shift(40)
        assert (await service.api.resend(resent["id"])).status_code == 200
        service.shift(10)
        assert await service.api.check(resent["id"], service.pin(to)) == "approved"
        await service.api.start(new_number(), decoy=True)
        service.vendor.fail("*", "refuse", times=None)
        await service.api.try_start(new_number())
        service.vendor.recover()
        codes = await pump(service, 14)
        lines = read_json("guard", "export", settings=settings)
        assert len(lines) == 1 + 2 + 14
        assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
        signed_up, first, second, *pumped = lines
        assert signed_up["client"] == lines[-1]["client"]
        assert signed_up["client"].startswith("app-")
        assert 0 <= signed_up["approved_after"] < 10
        assert (first["approved_after"], first["to"]) == (None, second["to"])
        assert second["approved_after"] == pytest.approx(10, abs=5)
        assert signed_up["ip"] == first["ip"] != pumped[0]["ip"]
        assert "198.51.100.1" not in str(lines)
        assert to not in {line["to"] for line in lines}
        assert {line["to"][:-4] for line in pumped} == {BLOCK}
        assert [line["ip"] is None for line in pumped] == [code == 403 for code in codes]
        path = tmp_path / "events.jsonl"
        path.write_text(ok("guard", "export", "--days", "1", settings=settings))
        summary = read_json("rehearse", str(path), "--json", settings={})[-1]
        assert (summary["asked"], summary["approved_among_blocked"]) == (17, 0)
        assert summary["blocked"] > 0
        assert ok("guard", "export", "--days", "0.01", settings=settings) == ""
