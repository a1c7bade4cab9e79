"""The search: a client's own verifications, newest first, in pages."""

from typing import Any

import httpx
import pytest

from tests.support.service import Api, Service, new_number, serving
from tests.support.vendor import Vendor

NO_LIMITS = {"limits": {"sends_per_number": "", "pause_per_number": 0, "sends_per_user_ip": ""}}


async def try_search(api: Api, **fields: Any) -> httpx.Response:
    return await api.call("POST", "/v1/verifications/search", fields)


async def search(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await try_search(api, **fields)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def ids(api: Api, **fields: Any) -> list[str]:
    return [each["id"] for each in (await search(api, **fields))["verifications"]]


@pytest.mark.both_databases
async def test_each_field_narrows_the_search_and_the_newest_comes_first(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, NO_LIMITS) as service:
        to, api = new_number(), service.api
        first = await api.start(to, subject="u1", reference="r1", session="a")
        service.shift(1)
        second = await api.start(to, subject="u1", reference="r2", session="b")
        service.shift(1)
        other = await api.start(subject="u2", reference="r2")
        assert await ids(api, to=to) == [second["id"], first["id"]]
        assert await ids(api, subject="u1") == [second["id"], first["id"]]
        assert await ids(api, reference="r2") == [other["id"], second["id"]]
        assert await ids(api, reference="r2", subject="u1", to=to) == [second["id"]]
        assert await ids(api, subject="u1", created_after=first["created_at"]) == [second["id"]]
        assert await ids(api, to=new_number()) == []
        assert (await search(api, subject="u2"))["verifications"][0] == await api.read(other["id"])


async def test_the_status_is_the_present_one(service: Service) -> None:
    api = service.api
    started = await api.start(subject="u")
    assert await ids(api, subject="u", status="pending") == [started["id"]]
    service.shift(601)
    assert await ids(api, subject="u", status="pending") == []
    assert await ids(api, subject="u", status="expired") == [started["id"]]


@pytest.mark.both_databases
@pytest.mark.usefixtures("stopped_clock")
async def test_pages_follow_each_other_without_gaps_also_at_one_moment(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor, NO_LIMITS) as service:
        started = {(await service.api.start(subject="u"))["id"] for _ in range(5)}
        found: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(3):
            page = await search(service.api, subject="u", limit=2, **cursor)
            found += [each["id"] for each in page["verifications"]]
            cursor = {"cursor": page["next_cursor"]}
        assert cursor["cursor"] is None
        assert len(found) == 5
        assert set(found) == started


async def test_a_client_finds_only_its_own_and_no_cursor_of_another_works(service: Service) -> None:
    other = await service.client("other")
    for _ in range(2):
        await service.api.start(subject="u")
    assert await ids(other, subject="u") == []
    cursor = (await search(service.api, subject="u", limit=1))["next_cursor"]
    answer = await try_search(other, subject="u", cursor=cursor)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", 101),
        ("limit", "5"),
        ("status", "over"),
        ("created_after", "2026-01-31"),
        ("created_after", "1700000000"),
        ("created_after", "2026-13-31T00:00:00Z"),
        ("created_after", "2026-01-31T00:00:00"),
        ("cursor", "k1:AAAA"),
        ("to", "5551234"),
        ("subject", 1),
        ("unknown", 1),
    ],
)
async def test_a_wrong_field_is_named(service: Service, field: str, value: Any) -> None:
    answer = await try_search(service.api, **{"reference": "r", field: value})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_search_needs_a_number_a_subject_or_a_reference(service: Service) -> None:
    answer = await try_search(service.api, status="pending")
    assert answer.json()["errors"] == [{"field": "body", "detail": "Must have to, subject or reference."}]


async def test_decoys_are_found_like_any_other(service: Service) -> None:
    started = await service.api.call("POST", "/v1/verifications", {"purpose": "signup", "decoy": True, "subject": "d"})
    page = await search(service.api, subject="d")
    assert page["verifications"] == [started.json()]
