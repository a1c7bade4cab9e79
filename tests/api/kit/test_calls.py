"""Around every call: keys, paths, methods, ids, Idempotency-Key, headers, and the refusals that are nobody's field."""

import json
import re
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.types import Message

from otp_service import phone
from otp_service.api.operations import OPERATIONS
from otp_service.hashing.queue import Kind
from otp_service.observability import logs
from otp_service.services.operations import health
from tests.api.support import JSON, nothing_counted, post, problem, wrong_fields
from tests.support.overload import full
from tests.support.service import Api, Service, new_number, serving
from tests.support.vendor import Vendor

WITH_KEY = [(each.method, each.path) for each in OPERATIONS if each.needs_api_key]
WITHOUT_KEY = [each.path for each in OPERATIONS if not each.needs_api_key]
START = b'{"to": "+573007654321", "purpose": "signup"}'
NOBODY = "ver_0123456789012345678901"


def authorizations(api_key: str) -> list[bytes | None]:
    key = api_key.encode()
    return [
        None, b"", b"Bearer", b"Bearer ", key, b"Basic " + key, b"Bearer otp_garbage", b"Bearer " + key + b"x",
        b"Bearer " + key[:-1], b"Bearer " + key.upper(), b"Bearer\t" + key, b"Bearer " + key + b", Bearer " + key,
        b"Bearer \xff\xfe\x00", "Bearer ключ".encode(), b"Bearer " + b"a" * 7000, b"Bearer '" + key + b"'",
    ]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), WITH_KEY)
async def test_without_a_valid_key_every_call_is_unauthorized(shared: Service, method: str, path: str) -> None:
    started = await shared.api.start()
    async with nothing_counted(shared):
        for value in authorizations(shared.api.api_key):
            headers = {b"Content-Type": b"application/json", **({} if value is None else {b"Authorization": value})}
            answer = await shared.http.request(
                method, path.format(**started, delivery_id=NOBODY), content=START, headers=headers
            )
            problem(answer, 401, "unauthorized")


async def test_the_line_of_a_refused_request_says_why(shared: Service, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    await shared.api.try_check(NOBODY, "123456")
    started = await shared.api.start()
    await shared.api.resend(started["id"])
    logs.configure("error", "json")
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    why = [(line.get("code"), line.get("limit")) for line in lines if line["event"] == "request"]
    assert why == [("not_found", None), (None, None), ("rate_limited", "resend_after")]


async def test_the_line_of_a_refused_start_names_purpose_and_masked_number(
    shared: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", "json")
    to = new_number()
    await shared.api.start(to, session="a")
    await shared.api.try_start(to, session="b")
    logs.configure("error", "json")
    out = capfd.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    refused = next(line for line in lines if line["event"] == "request" and line["status"] == 429)
    assert (refused["purpose"], refused["to"]) == ("signup", phone.mask(to))
    assert to not in out


@pytest.mark.parametrize(
    ("peer", "logged"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("x" * 5000, None), ("fe80::1%" + "x" * 5000, None)],
)
async def test_the_log_has_the_address_of_the_caller_if_it_is_one(
    shared: Service, capfd: pytest.CaptureFixture[str], peer: str, logged: str | None
) -> None:
    logs.configure("info", "json")
    # uvicorn puts there whatever a trusted proxy sends as X-Forwarded-For.
    transport = httpx.ASGITransport(shared.app, client=(peer, 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        await http.get("/nowhere")
    logs.configure("error", "json")
    (line,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert line["peer"] == logged


async def test_the_scheme_is_read_in_any_case(shared: Service) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "bearer "):
        headers = {**JSON, "Authorization": f"{scheme} {shared.api.api_key}"}
        assert (await shared.http.get(f"/v1/verifications/{NOBODY}", headers=headers)).status_code == 404


async def test_two_authorization_headers_are_unauthorized(shared: Service) -> None:
    key = ("Authorization", f"Bearer {shared.api.api_key}")
    for other in (key, ("Authorization", "Bearer x"), ("Authorization", "Basic eDp5"), ("Authorization", "")):
        for headers in ([key, other], [other, key]):
            answer = await shared.http.get(f"/v1/verifications/{NOBODY}", headers=headers)
            problem(answer, 401, "unauthorized")


async def test_no_key_is_told_before_anything_of_the_body_is(shared: Service) -> None:
    problem(await shared.http.post("/v1/verifications", content=b"[" * 100_000), 401, "unauthorized")


@pytest.mark.parametrize(
    "path",
    [
        "/v1", "/v1/", "/v1/nothing", "/v1/verifications/", "/v1/Verifications", "/V1/verifications",
        "//v1/verifications", "/v1//verifications", "/v1/verifications%0A", "/livez%0A", "/livez/",
        f"/v1/verifications/{NOBODY}/check",
        f"/v1/verifications/{NOBODY}/checks/", f"/v1/verifications/{NOBODY}/checks%0A", "/v1/../livez%00",
        "/v1/notifications/", "/v1/opt-outs/", "/v1/webhooks/", "/v1/factors/", "/v1/challenges/", "/v1/proofs",
        "/gateway/ogangi/x",
        "/favicon.ico", "/robots.txt",
    ],
)  # fmt: skip
async def test_a_path_that_is_not_there_is_not_found(shared: Service, path: str) -> None:
    async with nothing_counted(shared):
        problem(await post(shared, path, START), 404, "not_found")
        problem(await shared.api.call("GET", path), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "SEARCH"])
async def test_another_method_is_refused_with_those_that_are_allowed(shared: Service, method: str) -> None:
    for operation in OPERATIONS:
        served = {each.method for each in OPERATIONS if each.path == operation.path}
        if method in served or (method == "HEAD" and "GET" in served):
            continue
        answer = await shared.api.call(method, operation.path.format(id=NOBODY, delivery_id=NOBODY, subject="user-17"))
        problem(answer, 405, "method_not_allowed")
        assert operation.method in answer.headers["allow"].split(", ")


@pytest.mark.parametrize("path", WITHOUT_KEY)
async def test_what_needs_no_key_answers_and_has_the_headers_of_all(shared: Service, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = await shared.http.request(method, path)
        assert answer.status_code == 200
        assert re.fullmatch(r"req_[A-Za-z0-9_-]{16,}", answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_every_answer_under_v1_says_that_it_must_not_be_stored(shared: Service) -> None:
    started = await shared.api.start()
    answers = [
        await shared.api.call("GET", f"/v1/verifications/{started['id']}"),
        await shared.api.call("HEAD", f"/v1/verifications/{started['id']}"),
        await shared.http.get("/v1/verifications/x"),
        await shared.api.call("GET", "/v1/verifications/x"),
        await shared.api.call("GET", "/v1/verifications"),
        await post(shared, "/v1/verifications", "[" * 100_000),
        await shared.http.get("/v2/nothing"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 401, 404, 405, 413, 404]
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


@pytest.mark.parametrize(
    "verification_id",
    [
        "x", "ver_", NOBODY, NOBODY + "0", NOBODY[:-1], NOBODY.upper(), NOBODY[:-1] + "%00", NOBODY + "%0A", "%00",
        "ver_" + "%F0%9F%92%A9" * 22, "ver_" + "%D9%A1" * 22, "%FF%FE", "..%5C..", "%2e%2e", "a" * 4000,
        "'%20OR%201=1--", "ver_012345678901234567890%31%32", "%252F", "null", "-1", "{id}",
    ],
)  # fmt: skip
async def test_an_id_that_cannot_be_or_never_was_is_not_found(shared: Service, verification_id: str) -> None:
    one = f"/v1/verifications/{verification_id}"
    async with nothing_counted(shared):
        problem(await shared.api.call("GET", one), 404, "not_found")
        problem(await shared.api.call("GET", f"{one}/events"), 404, "not_found")
        for call, content in (("checks", '{"pin": "123456"}'), ("resends", ""), ("cancel", "")):
            problem(await post(shared, f"{one}/{call}", content), 404, "not_found")
            problem(await post(shared, f"{one}/{call}", content, {**JSON, "Idempotency-Key": "k"}), 404, "not_found")


async def test_the_id_of_another_client_answers_as_one_that_never_was(shared: Service) -> None:
    started = await shared.api.start()
    other = await shared.client("another")
    pin = shared.pin(started["to"])

    async def answers(verification_id: str) -> list[tuple[int, str, list[str]]]:
        one = f"/v1/verifications/{verification_id}"
        calls: list[tuple[str, str, Any]] = [
            ("GET", one, None), ("GET", f"{one}/events", None), ("POST", f"{one}/checks", {"pin": pin}),
            ("POST", f"{one}/resends", None), ("POST", f"{one}/cancel", None),
        ]  # fmt: skip
        given = [await other.call(*call) for call in calls]
        return [(answer.status_code, answer.text, sorted(answer.headers)) for answer in given]

    async with nothing_counted(shared):
        assert await answers(started["id"]) == await answers(NOBODY)


async def start(service: Service, *keys: bytes, to: str) -> httpx.Response:
    """A start with these Idempotency-Key headers."""
    headers = [
        (b"Authorization", f"Bearer {service.api.api_key}".encode()),
        *((b"Idempotency-Key", key) for key in keys),
    ]
    return await service.http.post("/v1/verifications", json={"to": to, "purpose": "signup"}, headers=headers)


@pytest.mark.parametrize(
    "keys",
    [
        [b""], [b'""'], [b'"'], [b'"abc'], [b"a", b"a"], [b"a", b"b"], [b"x" * 256], [b'"' + b"x" * 256 + b'"'],
        ["ключ".encode()], [b"\xff"], [b"a\tb"], [b"a\x00b"], [b"a\x7f"], [b'"a\tb"'], [b" "],
    ],
)  # fmt: skip
async def test_an_idempotency_key_that_is_not_one_is_refused(shared: Service, keys: list[bytes]) -> None:
    async with nothing_counted(shared):
        assert wrong_fields(await start(shared, *keys, to=new_number())) == ["Idempotency-Key"]


@pytest.mark.parametrize("key", [b"k-1", b"x" * 255, b"a b", b'a"b"', b"!#$%&'()*+,-./:;<=>?@[]^_`{|}~"])
async def test_a_key_is_the_same_quoted_and_bare(shared: Service, key: bytes) -> None:
    to = new_number()
    first = await start(shared, key, to=to)
    again = await start(shared, b'"' + key + b'"', to=to)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert len(shared.vendor.messages(to)) == 1
    problem(await start(shared, key, to=new_number()), 422, "idempotency_mismatch")


async def test_an_idempotency_key_is_of_one_call_and_the_host_header_does_not_matter(shared: Service) -> None:
    started = await shared.api.start()
    one = f"/v1/verifications/{started['id']}"
    for host in ("service", "other.example", "[", "a/b", "a:b:c", "\xff"):
        authorization = f"Bearer {shared.api.api_key}".encode()
        headers = {b"Authorization": authorization, b"Idempotency-Key": b"one", b"Host": host.encode()}
        answer = await shared.http.post(f"{one}/cancel?q=%FF", headers=headers)
        assert answer.status_code == 200, host
    problem(await shared.api.call("POST", f"{one}/resends", idempotency_key="one"), 422, "idempotency_mismatch")


async def test_a_caller_that_hangs_up_in_its_body_breaks_nothing(shared: Service) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {shared.api.api_key}".encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/verifications", "headers": headers, "query_string": b"",
        "client": None, "root_path": "",
    }  # fmt: skip
    async with nothing_counted(shared):
        await shared.app(scope, receive, send)
    assert sent[0]["status"] == 400


async def test_too_much_at_once_is_overloaded_and_says_when_to_come_back(shared: Service) -> None:
    started = await shared.api.start()
    pin = shared.pin(started["to"])
    queue = shared.ctx.hasher.queue
    async with nothing_counted(shared):
        with full(queue, *Kind):
            problem(await shared.api.try_start(new_number()), 503, "overloaded")
            problem(await shared.api.try_check(started["id"], pin), 503, "overloaded")
    assert await shared.api.check(started["id"], pin) == "approved"


async def test_a_limit_is_named_and_says_when_to_come_back(shared: Service) -> None:
    started = await shared.api.start()
    assert problem(await shared.api.resend(started["id"]), 429, "rate_limited")["limit"] == "resend_after"
    await shared.api.cancel(started["id"])
    answer = await shared.api.try_start(started["to"])
    assert problem(answer, 429, "rate_limited")["limit"] == "pause_per_number"
    problem(await shared.api.resend(started["id"]), 409, "not_pending")


@pytest.mark.parametrize("own", ["migrated", "new_postgres"])  # its tables are gone afterwards
async def test_a_database_without_tables_is_unavailable_and_not_ready(
    request: pytest.FixtureRequest, vendor: Vendor, own: str
) -> None:
    async with serving(request.getfixturevalue(own), vendor) as service:
        api = Api(service.http, service.api.api_key)
        with service.ctx.database.engine.begin() as tx:
            tx.execute(sa.text("DROP TABLE api_keys"))
            tx.execute(sa.text("DROP TABLE alembic_version"))
        problem(await api.try_start(new_number()), 503, "unavailable")
        ready = await service.http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["schema"] == "outdated"
        assert (await service.http.get("/livez")).status_code == 200
        assert (await health.database_and_schema(service.ctx.database))["database"] == "ok"


async def test_what_nobody_foresaw_is_internal_without_a_word_of_it(
    shared: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(_: str, __: str) -> None:
        raise ValueError("a secret of the inside")

    monkeypatch.setattr(shared.ctx.vault, "open", break_down)
    answer = await shared.api.call("GET", f"/v1/verifications/{(await _started_row(shared))}")
    problem(answer, 500, "internal")
    assert "secret" not in answer.text


async def _started_row(service: Service) -> str:
    return str(await service.ctx.database.read(lambda tx: tx.scalar(sa.text("SELECT id FROM verifications LIMIT 1"))))


PROXIED = (
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via", "CF-Connecting-IP",
)  # fmt: skip


@pytest.mark.parametrize("token", [None, "metrics-token-1234567890"])
async def test_metrics_are_for_loopback_or_with_their_token(sqlite_url: str, vendor: Vendor, token: str | None) -> None:
    async with serving(sqlite_url, vendor, metrics_token=token) as service:
        far = httpx.AsyncClient(
            transport=httpx.ASGITransport(service.app, client=("203.0.113.7", 1)), base_url="http://service"
        )
        assert (await service.http.get("/metrics")).status_code == 200
        for name in PROXIED:
            problem(await service.http.get("/metrics", headers={name: "127.0.0.1"}), 401, "unauthorized")
            problem(await far.get("/metrics", headers={name: "127.0.0.1"}), 401, "unauthorized")
        for wrong in ("", "Bearer", "Bearer x", f"Basic {token}", f"Bearer {service.api.api_key}", "Bearer None"):
            problem(await far.get("/metrics", headers={"Authorization": wrong}), 401, "unauthorized")
        twice = [("Authorization", f"Bearer {token}")] * 2
        problem(await far.get("/metrics", headers=twice), 401, "unauthorized")
        right = await far.get("/metrics", headers={"Authorization": f"bearer {token}"})
        assert right.status_code == (401 if token is None else 200)
        await far.aclose()
