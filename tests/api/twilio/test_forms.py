"""Requests of hostile programs: forms, credentials and paths that Twilio's library never sends."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from otp_service.api.twilio import sids
from otp_service.services.verifications.new_verifications import new_id
from tests.api.support import nothing_counted
from tests.support.service import Service, new_number

START = "/v2/Services/signup/Verifications"
CHECK = "/v2/Services/signup/VerificationCheck"
TO = "To=%2B573001234567"


async def call(
    service: Service, method: str, path: str, content: str | bytes | AsyncIterator[bytes] = b"", **headers: str
) -> httpx.Response:
    """A call with a valid key; header names have the form `content_type`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    _, name = await of_key(service)
    authorization = base64.b64encode(f"{name}:{service.api.api_key}".encode()).decode()
    fixed = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {authorization}"}
    return await service.http.request(method, path, content=content, headers={**fixed, **named})


async def of_key(service: Service) -> tuple[str, str]:
    """The id and the name of the service's client."""
    client = await service.app.state.clients.client_of(service.api.api_key)
    return client.id, client.name


def error(answer: httpx.Response, status: int, code: int) -> dict[str, Any]:
    """The body of an error, after a look at everything that all errors have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    assert (answer.headers.get("www-authenticate") == 'Basic realm="otp_service"') == (status == 401)
    body: dict[str, Any] = answer.json()
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    assert body == {"code": code, "message": body["message"], "more_info": more_info, "status": status}
    assert body["message"]
    return body


@pytest.mark.parametrize(
    "content",
    [
        "",
        "To",
        "&",
        f"{TO}",
        "Channel=sms",
        f"{TO}&Channel=",
        f"{TO}&Channel=sms&Unknown=1",
        f"{TO}&Channel=sms&channel=sms",
        f"{TO}&{TO}&Channel=sms",
        f"{TO}&Channel=sms&Channel=sms",
        f"{TO}&Channel=sms&%54o=%2B573001234567",
        "To=+573001234567&Channel=sms",
        "To=%2B573001234567%00&Channel=sms",
        "To=%2B573001234567%0A&Channel=sms",
        "To=%FF&Channel=sms",
        "To=%EF%BC%8B573001234567&Channel=sms",
        "To=" + "1" * 5000 + "&Channel=sms",
        f"{TO}&Channel=sms&Locale=%00",
        f"{TO}&Channel=sms;Locale=es",
        "&".join(f"A{number}=1" for number in range(1000)),
        b"\xff\xfe=1",
        "To=ü&Channel=sms".encode("latin-1"),
        '{"To": "+573001234567", "Channel": "sms"}',
    ],
)
async def test_a_malformed_start_is_refused_and_counts_nothing(shared: Service, content: str | bytes) -> None:
    async with nothing_counted(shared):
        error(await call(shared, "POST", START, content), 400, 60200)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "Code=123456",
        TO,
        f"{TO}&Code=123456&Code=123456",
        f"{TO}&Code=123456&Amount=1",
        f"{TO}&Code=%00123456",
        f"{TO}&Code=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96",
        f"{TO}&Code=" + "1" * 5000,
        "To=%00&Code=123456",
    ],
)
async def test_a_malformed_check_is_refused_and_counts_nothing(shared: Service, content: str) -> None:
    async with nothing_counted(shared):
        error(await call(shared, "POST", CHECK, content), 400, 60200)


@pytest.mark.parametrize(
    "media_type", ["application/json", "multipart/form-data", "application/x-www-form-urlencoded; charset=utf-16", ""]
)
async def test_another_media_type_is_refused(shared: Service, media_type: str) -> None:
    async with nothing_counted(shared):
        error(await call(shared, "POST", START, f"{TO}&Channel=sms", content_type=media_type), 400, 60200)


async def test_a_large_body_is_refused(shared: Service) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"Tags=" + b"x" * 1000

    async with nothing_counted(shared):
        error(await call(shared, "POST", START, b"Tags=" + b"x" * 20_000), 413, 60200)
        error(await call(shared, "POST", START, chunks()), 413, 60200)
        error(await call(shared, "POST", START, f"{TO}&Channel=sms", content_encoding="gzip"), 400, 60200)


async def test_an_error_does_not_repeat_the_value(shared: Service) -> None:
    answer = await call(shared, "POST", CHECK, "To=%2B57300secret&Code=98765x")
    assert "secret" not in answer.text
    assert "98765" not in answer.text


@pytest.mark.parametrize("path", ["/v2/", "/v2/Services", "/v2/Services/signup/", f"{START}/", "/v2/Services/a/b/c"])
async def test_an_unknown_path_is_not_found(shared: Service, path: str) -> None:
    error(await call(shared, "POST", path), 404, 20404)


async def test_another_method_is_refused(shared: Service) -> None:
    answer = await call(shared, "GET", CHECK)
    error(answer, 405, 20004)
    assert answer.headers["allow"] == "POST"
    answer = await call(shared, "DELETE", f"{START}/VE{32 * '0'}")
    error(answer, 405, 20004)
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_credentials_of_another_form_are_refused(shared: Service) -> None:
    key = shared.api.api_key
    client_id, name = await of_key(shared)

    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    for authorization in (
        f"Bearer {key}",
        "Basic",
        "Basic !!!",
        "Basic /w==",
        basic(key),
        basic(f":{key}"),
        basic(f"{client_id}{key}"),
        basic(f"{client_id}:"),
        basic(f"{client_id}:{key}\n"),
        basic(f"{name.upper()}:{key}"),
        basic(f"nö:{key}"),
    ):
        error(await shared.http.get(START, headers={"Authorization": authorization}), 405, 20004)
        path = "/v2/Services/signup"
        error(await shared.http.get(path, headers={"Authorization": authorization}), 401, 20003)
    twice = [("Authorization", basic(f"{name}:{key}"))] * 2
    error(await shared.http.get("/v2/Services/signup", headers=twice), 401, 20003)
    error(await shared.http.get("/v2/Services/signup"), 401, 20003)


async def test_basic_credentials_do_not_open_the_other_interface(shared: Service) -> None:
    assert (await call(shared, "POST", "/v1/verifications", "{}")).status_code == 401


async def test_an_idempotency_key_has_no_meaning_here(shared: Service) -> None:
    to = new_number()
    content = f"To=%2B{to[1:]}&Channel=sms"
    assert (await call(shared, "POST", START, content, idempotency_key="k")).status_code == 201
    answer = await call(shared, "POST", START, content, idempotency_key="k")
    error(answer, 429, 20429)
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_verification_with_a_session_cannot_be_checked_here(shared: Service) -> None:
    started = await shared.api.start(session="s")
    pin = shared.pin(started["to"])
    sid = sids.sid_of(started["id"])
    by_number = f"To=%2B{started['to'][1:]}&Code={pin}"
    for content in (by_number, f"VerificationSid={sid}&Code={pin}"):
        error(await call(shared, "POST", CHECK, content), 404, 20404)
    answer = await call(shared, "GET", f"{START}/{sid}")
    assert (answer.json()["sid"], answer.json()["status"]) == (sid, "pending")
    assert await shared.api.check(started["id"], pin, session="s") == "approved"


async def test_a_url_is_relative_unless_the_public_url_is_set(shared: Service) -> None:
    answer = await call(shared, "GET", "/v2/Services/signup")
    assert answer.json()["url"] == "/v2/Services/signup"
    assert answer.json()["links"] == {"verifications": START, "verification_checks": CHECK}


async def test_a_broken_service_answers_in_twilios_form(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otp_service.services.verifications.lifecycle.read", lambda *_: 1 / 0)
    error(await call(shared, "GET", f"{START}/VE{32 * '0'}"), 500, 20500)


def test_every_id_has_one_sid_and_every_sid_one_id() -> None:
    for verification_id in (new_id() for _ in range(1000)):
        assert sids.verification_id_of(sids.sid_of(verification_id)) == verification_id
    for sid in ("VE" + 32 * "0", "VE" + 32 * "f"):
        assert sids.sid_of(sids.verification_id_of(sid) or "") == sid
