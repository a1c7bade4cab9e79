"""Verifications that send nothing: the text of the claimed number approves, and nothing else does."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from otp_service.storage.tables import failures, verifications
from tests.support.people import begin, hears, opt_out, rows, texts
from tests.support.service import Api, Service, new_number, serving
from tests.support.vendor import SENDER, Vendor


async def claim(api: Api, to: str, **fields: Any) -> dict[str, Any]:
    """A verification that waits for a text."""
    return await api.start(to, channel="inbound", **fields)


async def test_a_text_of_the_claimed_number_approves_it(service: Service) -> None:
    await begin(service)
    to = new_number()
    answer = await service.api.try_start(to, channel="inbound", session="s", subject="user-1")
    claimed = answer.json()
    assert answer.status_code == 201
    assert claimed["inbound"]["send_to"] == SENDER
    assert claimed["delivery"] == {"status": None, "route": None, "sent_at": None}
    assert (claimed["status"], claimed["sends_left"], claimed["resend_at"]) == ("pending", 0, None)
    assert (claimed["attempts_left"], claimed["subject"]) == (5, "user-1")
    assert await service.api.read(claimed["id"]) == claimed
    again = await service.api.try_start(to, channel="inbound", session="s")
    assert (again.status_code, again.json()) == (200, claimed)
    phrase = claimed["inbound"]["text"]
    await texts(service, to, f" “{phrase.lower().replace('-', ' ')}”\n")
    approved = await service.api.read(claimed["id"])
    assert approved["status"] == "approved"
    assert "inbound" not in approved
    story = await service.api.events(claimed["id"])
    assert [(event["type"], event["result"]) for event in story] == [
        ("created", None),
        ("inbound", "approved"),
        ("approved", None),
    ]
    assert service.vendor.messages(to) == []
    assert phrase not in str(await rows(service, verifications))
    assert (await rows(service, verifications))[0]["phrase_sealed"] is None


async def test_what_is_not_the_listed_text_of_the_claimed_number_in_time_does_nothing(service: Service) -> None:
    await begin(service)
    to, other = new_number(), new_number()
    claimed, late = await claim(service.api, to, session="a"), await claim(service.api, other)
    phrase = claimed["inbound"]["text"]
    await texts(service, other, phrase)
    await hears(service, to, phrase)
    await hears(service, to, phrase)
    await texts(service, to, f"my phrase is {phrase}", phrase[:-1], late["inbound"]["text"])
    assert (await service.api.read(claimed["id"]))["status"] == "pending"
    service.shift(601)
    await texts(service, other, late["inbound"]["text"])
    assert (await service.api.read(late["id"]))["status"] == "expired"
    assert "inbound" not in await service.api.read(late["id"])


async def test_a_text_approves_once_and_only_what_is_pending(service: Service) -> None:
    await begin(service)
    to = new_number()
    claimed, canceled = await claim(service.api, to, session="a"), await claim(service.api, to, session="b")
    await service.api.cancel(canceled["id"])
    await texts(service, to, canceled["inbound"]["text"], claimed["inbound"]["text"], claimed["inbound"]["text"])
    assert (await service.api.read(canceled["id"]))["status"] == "canceled"
    assert (await service.api.read(claimed["id"]))["status"] == "approved"
    assert [e["type"] for e in await service.api.events(claimed["id"])].count("inbound") == 1


async def test_of_several_that_wait_for_one_number_the_phrase_tells_which(service: Service) -> None:
    await begin(service)
    to, other = new_number(), await service.client("other")
    mine, theirs = await claim(service.api, to), await claim(other, to)
    assert mine["inbound"]["text"] != theirs["inbound"]["text"]
    await texts(service, to, theirs["inbound"]["text"])
    assert (await service.api.read(mine["id"]))["status"] == "pending"
    assert (await other.read(theirs["id"]))["status"] == "approved"


async def test_it_takes_no_pin_and_no_resend(service: Service) -> None:
    claimed = await claim(service.api, new_number())
    assert await service.api.check(claimed["id"], "000000") == "no_pin"
    assert (await service.api.read(claimed["id"]))["attempts_left"] == 5
    refused = await service.api.resend(claimed["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "no_sends_left")
    assert (await service.api.cancel(claimed["id"])).json()["status"] == "canceled"


async def test_a_purpose_that_does_not_allow_it_names_the_channel(database_url: str, vendor: Vendor) -> None:
    config = {"purposes": {"password_reset": {"inbound": True}, "signup": {"inbound": False}}}
    async with serving(database_url, vendor, config, countries="CO") as service:
        for purpose in ("login", "signup"):
            refused = await service.api.try_start(new_number(), purpose, channel="inbound")
            assert (refused.status_code, [e["field"] for e in refused.json()["errors"]]) == (422, ["channel"])
        assert (await claim(service.api, new_number(), purpose="password_reset"))["status"] == "pending"
        for channel in ("mail", "", 5, ["inbound"]):
            assert (await service.api.try_start(new_number(), channel=channel)).status_code == 422
        abroad = await service.api.try_start("+12015550123", "password_reset", channel="inbound")
        assert abroad.json()["code"] == "country_not_allowed"


async def test_no_limit_of_sends_and_no_opt_out_is_in_its_way(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, {"limits": {"sends_per_number": "1/hour"}}) as service:
        await begin(service)
        to = new_number()
        await service.api.start(to)
        await opt_out(service.api, "add", to)
        for session in "abcdef":
            claimed = await claim(service.api, to, session=session, user_ip="192.0.2.1")
        await texts(service, to, claimed["inbound"]["text"])
        assert (await service.api.read(claimed["id"]))["status"] == "approved"


async def test_what_waits_is_bounded_per_number_and_per_client(migrated: str, vendor: Vendor) -> None:
    limits = {"inbound_per_number": "3/10 minutes", "inbound_per_client": "5/10 minutes"}
    async with serving(migrated, vendor, {"limits": limits}) as service:
        await begin(service)
        to, other = new_number(), await service.client("other")
        claimed = [await claim(service.api, to, session=session) for session in "abc"]
        assert (await service.api.try_start(to, channel="inbound", session="a")).status_code == 200
        for api in (service.api, other):
            refused = await api.try_start(to, channel="inbound", session="d")
            assert (refused.status_code, refused.json()["limit"]) == (429, "inbound_per_number")
        for _ in range(2):
            await claim(service.api, new_number())
        refused = await service.api.try_start(new_number(), channel="inbound")
        assert (refused.status_code, refused.json()["limit"]) == (429, "inbound_per_client")
        await claim(other, new_number())
        await texts(service, to, claimed[1]["inbound"]["text"])
        statuses = [(await service.api.read(each["id"]))["status"] for each in claimed]
        assert statuses == ["pending", "approved", "pending"]


async def test_a_text_opens_only_the_phrase_that_it_is(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        await begin(service)
        to = new_number()
        claimed = [await claim(service.api, to, session=session) for session in "abcdefgh"]
        opened, real = list[str](), service.ctx.vault.open

        def counted(use: str, sealed: str | None) -> bytes | None:
            opened.append(use)
            return real(use, sealed)

        monkeypatch.setattr(service.ctx.vault, "open", counted)
        await texts(service, to, "ABCD1234", "12345678")
        assert opened == []
        await texts(service, to, claimed[3]["inbound"]["text"])
        assert opened == ["phrase"]


async def test_a_phrase_of_the_release_before_is_found_too(service: Service) -> None:
    await begin(service)
    to = new_number()
    claimed = await claim(service.api, to)
    without = sa.update(verifications).values(phrase_digest=None)
    await service.ctx.database.write(lambda tx: tx.execute(without).close())
    await texts(service, to, claimed["inbound"]["text"])
    assert (await service.api.read(claimed["id"]))["status"] == "approved"


@pytest.mark.parametrize("session", [None, "s"])
async def test_another_channel_in_the_slot_takes_the_place(service: Service, session: str | None) -> None:
    await begin(service)
    to = new_number()
    claimed = await claim(service.api, to, session=session)
    sent = await service.api.start(to, session=session)
    assert sent["id"] != claimed["id"]
    old = await service.api.read(claimed["id"])
    assert (old["status"], old["reason"]) == ("canceled", "superseded")
    await texts(service, to, claimed["inbound"]["text"])
    assert (await service.api.read(claimed["id"]))["status"] == "canceled"
    third = await claim(service.api, to, session=session)
    assert (await service.api.read(sent["id"]))["reason"] == "superseded"
    assert third["inbound"]["text"] != claimed["inbound"]["text"]


async def test_two_claims_at_the_same_moment_are_one(service: Service) -> None:
    to = new_number()
    answers = await asyncio.gather(*(service.api.try_start(to, channel="inbound") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["inbound"]["text"] for answer in answers}) == 1


async def test_an_idempotency_key_gives_the_same_phrase_again(service: Service) -> None:
    body = {"to": new_number(), "purpose": "signup", "channel": "inbound"}
    answers = [await service.api.call("POST", "/v1/verifications", body, idempotency_key="k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_an_approval_clears_the_failures_of_the_number(service: Service) -> None:
    await begin(service)
    to = new_number()
    sent = await service.api.start(to, session="pin")
    for pin in ("000000", "000001", "000002"):
        if pin != service.pin(to):
            await service.api.check(sent["id"], pin, session="pin")
    claimed = await claim(service.api, to, session="text")
    await texts(service, to, claimed["inbound"]["text"])
    assert (await service.api.read(claimed["id"]))["status"] == "approved"
    assert await rows(service, failures) == []


async def test_where_the_list_is_never_read_none_is_begun(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, {"inbound": {"poll_every": 0}}) as service:
        refused = await service.api.try_start(new_number(), channel="inbound")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "channel")
