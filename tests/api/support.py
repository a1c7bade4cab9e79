"""What the tests of the HTTP interface share: raw requests, what a problem looks like, that nothing was counted."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.storage import tables
from tests.support.service import Service

JSON = {"Content-Type": "application/json"}
COUNTING = (
    tables.verifications,
    tables.notifications,
    tables.sends,
    tables.buckets,
    tables.failures,
    tables.requests,
    tables.events,
)


async def post(
    service: Service, path: str, content: str | bytes | AsyncIterator[bytes], headers: Mapping[str, str] = JSON
) -> httpx.Response:
    """A call with a valid key and any body."""
    authorization = {"Authorization": f"Bearer {service.api.api_key}"}
    return await service.http.post(path, content=content, headers={**authorization, **headers})


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, after a look at everything that all refusals have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert re.fullmatch(r"req_[A-Za-z0-9_-]{16,}", answer.headers["x-request-id"])
    if answer.request.url.path.startswith("/v1/"):
        assert answer.headers["cache-control"] == "no-store"
    assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    assert ("ratelimit" in answer.headers) == ("ratelimit-policy" in answer.headers) == (status == 429)
    if answer.request.method == "HEAD":
        return {}
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:otp-service:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert (body["status"], body["code"]) == (status, code)
    return body


def wrong_fields(answer: httpx.Response, status: int = 422, code: str = "invalid") -> list[str]:
    """The names in `errors`."""
    errors = problem(answer, status, code)["errors"]
    assert all(each.keys() == {"field", "detail"} and each["detail"] for each in errors)
    return sorted(each["field"] for each in errors)


@asynccontextmanager
async def nothing_counted(service: Service) -> AsyncIterator[None]:
    """Fails if the block sends, spends or counts anything."""
    before = await _everything(service)
    yield
    assert await _everything(service) == before


async def _everything(service: Service) -> list[Any]:
    def rows(tx: Connection) -> list[Any]:
        return [tx.execute(sa.select(table)).all() for table in COUNTING]

    return [await service.ctx.database.read(rows), service.vendor.messages()[:1]]
