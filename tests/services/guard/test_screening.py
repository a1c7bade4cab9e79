"""What the guard does with starts, resends and challenges."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from otp_service.gateways.base import Outcome, Sent
from otp_service.services.delivery import decoys
from otp_service.services.delivery.decoys import RecentSend
from otp_service.services.factors import subjects
from otp_service.services.guard import counting, lists
from otp_service.services.guard.for_operator import counter_reset
from otp_service.services.verifications.pin_messages import pin_delivery
from otp_service.services.verifications.pin_messages.pin_message import RouteSend
from otp_service.storage.tables import guard_decisions, guard_rows, sends, verifications
from tests.services.guard.support import config, count, new_range, pump, sign_up, start, watch_once
from tests.support.factors import active_sms
from tests.support.service import NO_LIMITS, Api, Service, new_number, serving
from tests.support.vendor import Vendor


def messages_to(vendor: Vendor, prefix: str) -> int:
    return sum(message["to"].startswith(prefix) for message in vendor.messages())


async def rows_of(service: Service, table: sa.Table) -> list[Any]:
    return list(await service.ctx.database.read(lambda tx: tx.execute(sa.select(table)).all()))


@pytest.mark.both_databases
async def test_a_range_is_blocked_after_a_few_messages(service: Service) -> None:
    prefix = new_range()
    answers = await pump(service, prefix)
    assert [answer.status_code for answer in answers[:3]] == [201, 201, 201]
    refused = answers[-1]
    assert (refused.status_code, refused.json()["code"]) == (403, "blocked")
    sent = sum(answer.status_code == 201 for answer in answers)
    assert messages_to(service.vendor, prefix) == sent < 10
    decisions = await rows_of(service, guard_decisions)
    assert len(decisions) == len(answers) - sent
    assert {refused.json()["decision"]} < {decision.id for decision in decisions}


async def test_a_refusal_gives_no_reason(service: Service) -> None:
    answer = (await pump(service, new_range()))[-1]
    assert set(answer.json()) == {"type", "title", "status", "code", "detail", "decision"}
    assert "prefix" not in answer.text


async def test_a_blocked_start_leaves_no_verification(service: Service) -> None:
    answers = await pump(service, new_range())
    kept = await rows_of(service, verifications)
    assert len(kept) == sum(answer.status_code == 201 for answer in answers)


async def test_approvals_pay_back_so_that_people_are_not_blocked(service: Service) -> None:
    prefix = new_range()
    for number in range(15):
        await sign_up(service, f"{prefix}{number:04d}")
    assert await rows_of(service, guard_decisions) == []


async def test_record_notes_and_sends_all_the_same(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        answers = await pump(service, new_range())
        assert {answer.status_code for answer in answers} == {201}
        decisions = await rows_of(service, guard_decisions)
        assert {(each.mode, each.action) for each in decisions} == {("record", "sent")}


async def test_off_counts_nothing(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(mode="off", rules={"prefix": "enforce"})) as service:
        assert {answer.status_code for answer in await pump(service, new_range())} == {201}
        assert await rows_of(service, guard_rows) == []
        assert {send.pseudonym for send in await rows_of(service, sends)} == {None}


async def test_a_rule_may_be_enforced_alone(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(rules={"prefix": "enforce"})) as service:
        assert (await pump(service, new_range()))[-1].status_code == 403
        decision = (await rows_of(service, guard_decisions))[-1]
        assert (decision.rule, decision.mode, decision.action) == ("prefix", "enforce", "refused")


async def test_a_resend_is_asked_too(service: Service) -> None:
    prefix = new_range()
    first = await start(service, f"{prefix}9999")
    await pump(service, prefix)
    answer = await service.api.resend(first.json()["id"])
    assert (answer.status_code, answer.json()["code"]) == (403, "blocked")
    assert (await service.api.read(first.json()["id"]))["sends_left"] == 2
    assert await service.api.check(first.json()["id"], service.pin(f"{prefix}9999")) == "approved"


async def test_a_challenge_of_a_phone_is_asked_too(service: Service) -> None:
    prefix = new_range()
    await active_sms(service, "user-17", f"{prefix}9999")
    await pump(service, prefix, 20)
    answer = await service.api.call("POST", "/v1/challenges", {"subject": "user-17"})
    assert (answer.status_code, answer.json()["code"]) == (403, "blocked")


async def test_a_repeated_start_of_a_pending_verification_asks_nobody(service: Service) -> None:
    prefix = new_range()
    first = await start(service, f"{prefix}9999")
    await pump(service, prefix)
    again = await start(service, f"{prefix}9999")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_a_message_that_no_route_sent_is_given_back(service: Service) -> None:
    prefix = new_range()
    for route in ("pin", "sms", "mt"):
        service.vendor.fail(route, "refuse", times=100)
    answers = await pump(service, prefix, 15)
    assert {answer.status_code for answer in answers} == {502}


async def test_a_decoy_is_answered_as_a_real_start_and_counts_nowhere(service: Service) -> None:
    prefix = new_range()
    for number in range(10):
        assert (await start(service, f"{prefix}{number:04d}", decoy=True)).status_code == 201
    assert await rows_of(service, guard_rows) == []
    assert (await pump(service, prefix))[-1].status_code == 403
    decoy = await start(service, f"{prefix}9999", decoy=True)
    assert (decoy.status_code, decoy.json()["code"]) == (403, "blocked")


async def test_the_answer_can_be_a_decoy(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(mode="enforce", answer="decoy")) as service:
        prefix = new_range()
        assert {answer.status_code for answer in await pump(service, prefix)} == {201}
        assert messages_to(vendor, prefix) < 10
        last = f"{prefix}9999"
        first, again = await start(service, last), await start(service, last)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        assert first.json().keys() == (await start(service, new_number())).json().keys()
        resent = await service.api.resend(first.json()["id"])
        assert resent.status_code == 200, resent.text
        assert await service.api.check(first.json()["id"], "000000") == "incorrect"
        assert vendor.messages(last) == []
        assert {each.action for each in await rows_of(service, guard_decisions)} == {"decoy"}


async def test_a_decoy_is_answered_no_later_than_a_real_start(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    imitated: list[float] = []
    prepare, imitate = pin_delivery.prepare, decoys.imitate

    async def prepare_slowly(*given: Any) -> RouteSend:
        await asyncio.sleep(0.1)
        return await prepare(*given)

    async def recorded(real: RecentSend, route: str, *, longest: float) -> Sent:
        imitated.append(real.seconds)
        return await imitate(replace(real, seconds=0), route, longest=longest)

    async with serving(database_url, vendor, config(mode="enforce", answer="decoy")) as service:
        prefix = new_range()
        await pump(service, prefix)
        for _ in range(decoys.KEPT):
            service.ctx.recent_sends.record("signup", RecentSend(1.0, "pin", Outcome.ACCEPTED, "ok"))
        monkeypatch.setattr(pin_delivery, "prepare", prepare_slowly)
        monkeypatch.setattr(decoys, "imitate", recorded)
        assert (await start(service, f"{prefix}9999")).status_code == 201
        assert imitated[0] <= 1 + decoys.JITTER - 0.1


async def test_somebody_known_passes_while_the_range_is_blocked(service: Service) -> None:
    prefix = new_range()
    owner = f"{prefix}9999"
    await sign_up(service, owner, subject="user-17")
    service.shift(86400)
    await pump(service, prefix, 20)
    assert (await start(service, owner, purpose="login")).status_code == 403
    assert (await start(service, owner, purpose="login", subject="user-17")).status_code == 201


async def test_an_erased_subject_is_not_known_any_more(service: Service) -> None:
    prefix = new_range()
    owner = f"{prefix}9999"
    await sign_up(service, owner, subject="user-17")
    service.shift(86400)
    await pump(service, prefix, 20)
    (client_id,) = {each.client_id for each in await rows_of(service, verifications)}
    await subjects.erase(service.ctx, client_id, "user-17")
    assert (await start(service, owner, purpose="login", subject="user-17")).status_code == 403


async def test_a_stranger_who_burns_the_budget_of_a_number_locks_nobody_out_who_is_known(
    database_url: str, vendor: Vendor
) -> None:
    limits = NO_LIMITS | {"sends_per_number": "3/day", "pause_per_number": 30}
    async with serving(database_url, vendor, {"limits": limits}) as service:
        owner = new_number()
        await sign_up(service, owner, subject="user-17")
        service.shift(86400)
        for _ in range(3):
            service.shift(31)
            assert (await start(service, owner, session=f"{service.ctx.clock.now()}")).status_code == 201
        stranger = await start(service, owner, session="stranger")
        assert stranger.json()["limit"] in {"sends_per_number", "pause_per_number"}
        known = await start(service, owner, session="mine", subject="user-17")
        assert known.status_code == 201, known.text
        other = await start(service, owner, session="other", subject="user-18")
        assert other.status_code == 429


async def test_nothing_of_the_guard_shows_a_number(service: Service) -> None:
    prefix = new_range()
    await pump(service, prefix)
    rows = [row._asdict() for table in (guard_rows, guard_decisions) for row in await rows_of(service, table)]
    texts = [str({name: value for name, value in row.items() if name != "pseudonym"}) for row in rows]
    assert texts
    assert not [text for number in range(12) for text in texts if f"{prefix}{number * 100:04d}"[:-2] in text]


async def test_a_decision_says_later_that_the_number_was_approved(service: Service) -> None:
    prefix = new_range()
    first = await start(service, f"{prefix}9999")
    await pump(service, prefix)
    await service.api.resend(first.json()["id"])
    await service.api.check(first.json()["id"], service.pin(f"{prefix}9999"))
    await count(service)
    approved = [each for each in await rows_of(service, guard_decisions) if each.approved_at is not None]
    assert len(approved) == 1


@pytest.mark.both_databases
async def test_a_refused_number_that_is_approved_later_says_so_and_no_other_number_does(service: Service) -> None:
    async def approved() -> list[Any]:
        return [each for each in await rows_of(service, guard_decisions) if each.approved_at is not None]

    prefix = new_range()
    assert (await pump(service, prefix))[-1].status_code == 403
    await counter_reset.reset(service.ctx.database, service.ctx.clock)
    # A refused start leaves no row of its number, so another number may get the id that it had.
    await sign_up(service, f"{new_range()}9999")
    assert await approved() == []
    await sign_up(service, f"{prefix}1100")
    assert len(await approved()) == 1


async def test_the_decoy_that_a_stranger_got_does_not_keep_somebody_known_from_a_message(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor, config(mode="enforce", answer="decoy")) as service:
        prefix = new_range()
        owner = f"{prefix}9999"
        await sign_up(service, owner, subject="user-17")
        service.shift(86400)
        await pump(service, prefix, 20)
        before = len(vendor.messages(owner))
        stranger = (await start(service, owner)).json()
        assert len(vendor.messages(owner)) == before
        known = await start(service, owner, subject="user-17")
        assert (known.status_code, len(vendor.messages(owner))) == (201, before + 1)
        assert known.json()["id"] != stranger["id"]
        assert await service.api.check(known.json()["id"], service.pin(owner)) == "approved"


async def test_a_blocked_start_takes_the_place_of_a_decoy_that_was_asked_for_as_a_real_one_does(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor, config(mode="enforce", answer="decoy")) as service:
        prefix = new_range()
        asked = await start(service, f"{prefix}9999", decoy=True)
        await pump(service, prefix)
        blocked = await start(service, f"{prefix}9999")
        assert (blocked.status_code, (await service.api.read(asked.json()["id"]))["reason"]) == (201, "superseded")


async def test_what_an_operator_denies_counts_nowhere(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config(mode="off")) as service:
        prefix = new_range()
        await lists.put(service.ctx.database, service.ctx.clock, prefix, lists.DENY, until=None, note=None)
        await watch_once(service)
        assert {answer.status_code for answer in await pump(service, prefix)} == {403}
        assert await rows_of(service, guard_rows) == []


async def test_a_blocked_decoy_counts_nowhere(service: Service) -> None:
    prefix = new_range()
    await pump(service, prefix)
    before = await rows_of(service, guard_rows)
    service.shift(60)
    assert {answer.status_code for answer in await pump(service, prefix, decoy=True)} == {403}
    assert await rows_of(service, guard_rows) == before


async def test_a_decoy_that_a_rule_would_block_is_no_decision_of_a_message(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as service:
        prefix = new_range()
        await pump(service, prefix)
        before = await rows_of(service, guard_decisions)
        assert {answer.status_code for answer in await pump(service, prefix, decoy=True)} == {201}
        assert await rows_of(service, guard_decisions) == before


@pytest.mark.both_databases
async def test_two_replicas_that_count_a_new_range_at_once_lose_no_message(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, config()) as one, serving(database_url, vendor, config()) as two:
        for _ in range(5):
            prefix = new_range()
            for number in range(4):
                api = Api((one, two)[number % 2].http, one.api.api_key)
                assert (await api.try_start(f"{prefix}{number:04d}")).status_code == 201
            await asyncio.gather(*(counting.work(replica.ctx) for replica in (one, two)))
            states = {row.key: json.loads(row.state) for row in await rows_of(one, guard_rows)}
            assert states[f"block:CO:{prefix}"]["sent"] == 4
