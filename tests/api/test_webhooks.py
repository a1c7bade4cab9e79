"""The calls under /v1/webhooks; tests/services/webhooks shows what they do."""

import asyncio

import pytest

from tests.api.support import problem, wrong_fields
from tests.support.receivers import LOOPBACK, add, receiving
from tests.support.service import serving
from tests.support.vendor import Vendor

URL = "http://127.0.0.1:9009/hook"


async def test_a_webhook_shows_its_secret_once(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, webhook_networks=LOOPBACK) as service:
        added = await add(service.api, URL, "verification.*", "number.opted_out")
        secret = added.pop("secret")
        assert secret.startswith("whsec_")
        assert added.keys() == {"id", "url", "events", "status", "created_at"}
        assert (added["url"], added["events"]) == (URL, ["verification.*", "number.opted_out"])
        assert (await service.api.call("GET", f"/v1/webhooks/{added['id']}")).json() == added
        assert (await service.api.call("GET", "/v1/webhooks")).json() == {"webhooks": [added]}
        other = await service.client("other")
        assert (await other.call("GET", "/v1/webhooks")).json() == {"webhooks": []}
        for method in ("GET", "DELETE"):
            problem(await other.call(method, f"/v1/webhooks/{added['id']}"), 404, "not_found")


async def test_a_client_has_at_most_ten_also_if_it_adds_many_at_once(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, webhook_networks=LOOPBACK) as service:
        body = {"url": URL, "events": ["*"]}
        answers = await asyncio.gather(*(service.api.call("POST", "/v1/webhooks", body) for _ in range(14)))
        assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 4
        problem(await service.api.call("POST", "/v1/webhooks", body), 409, "too_many_webhooks")
        first = (await service.api.call("GET", "/v1/webhooks")).json()["webhooks"][0]["id"]
        assert (await service.api.call("DELETE", f"/v1/webhooks/{first}")).status_code == 204
        assert (await service.api.call("POST", "/v1/webhooks", body)).status_code == 201
        assert (await (await service.client("other")).call("POST", "/v1/webhooks", body)).status_code == 201


async def test_the_names_of_a_client_are_resolved_one_at_a_time(
    migrated: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor, webhook_networks=LOOPBACK) as service:
        running, most = 0, 0

        async def check(_: str) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

        monkeypatch.setattr(service.ctx.webhooks, "check", check)
        body = {"url": URL, "events": ["*"]}
        answers = await asyncio.gather(*(service.api.call("POST", "/v1/webhooks", body) for _ in range(5)))
        assert [answer.status_code for answer in answers] == [201] * 5
        assert most == 1


@pytest.mark.parametrize("events", [[], ["verification.started"], ["*", "*"], "*", [1], None])
async def test_only_known_events_can_be_wanted(migrated: str, vendor: Vendor, events: object) -> None:
    async with serving(migrated, vendor, webhook_networks=LOOPBACK) as service:
        answer = await service.api.call("POST", "/v1/webhooks", {"url": URL, "events": events})
        assert wrong_fields(answer) == ["events"]


@pytest.mark.parametrize(
    "url", ["", "x", "http://127.0.0.1/", "https://localhost/", "https://u:p@8.8.8.8/", "https://8.8.8.8:22/"]
)
async def test_an_address_where_webhooks_may_not_go_is_refused(migrated: str, vendor: Vendor, url: str) -> None:
    async with serving(migrated, vendor) as service:
        answer = await service.api.call("POST", "/v1/webhooks", {"url": url, "events": ["*"]})
        assert wrong_fields(answer) == ["url"]


async def test_a_repeated_request_adds_one_webhook(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, webhook_networks=LOOPBACK) as service:
        body = {"url": URL, "events": ["*"]}
        first, second = [await service.api.call("POST", "/v1/webhooks", body, idempotency_key="k") for _ in range(2)]
        assert first.json() == second.json()
        assert len((await service.api.call("GET", "/v1/webhooks")).json()["webhooks"]) == 1


async def test_a_test_event_is_posted_now(migrated: str, vendor: Vendor) -> None:
    with receiving() as receiver:
        async with serving(migrated, vendor, webhook_networks=LOOPBACK) as service:
            added = await add(service.api, receiver.url, "number.*")
            answer = await service.api.call("POST", f"/v1/webhooks/{added['id']}/test")
            assert answer.json() == {"delivered": True, "status_code": 204, "error": None}
            (event,) = receiver.events
            assert event.verify(added["secret"])["type"] == "webhook.test"
            receiver.status = 500
            answer = await service.api.call("POST", f"/v1/webhooks/{added['id']}/test")
            assert answer.json() == {"delivered": False, "status_code": 500, "error": "http_500"}


@pytest.mark.both_databases
async def test_an_unknown_delivery_cannot_be_replayed(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, webhook_networks=LOOPBACK) as service:
        added = await add(service.api, URL)
        for delivery_id in ("x", "%00", f"whd_{'a' * 32}", f"whd_{'a' * 32}%0A", f"whd_{'A' * 32}"):
            path = f"/v1/webhooks/{added['id']}/deliveries/{delivery_id}/replay"
            problem(await service.api.call("POST", path), 404, "not_found")
