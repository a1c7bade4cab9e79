"""The calls under /v1/factors, /v1/devices and /v1/subjects; tests/services/factors shows what they do."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.api.support import problem, wrong_fields
from tests.support.factors import challenge_proof, phone_proof, value
from tests.support.service import Service, new_number

SUBJECT = "user-17"


async def add_app(service: Service, subject: str = SUBJECT, **headers: str) -> dict[str, Any]:
    """Returns a new app."""
    answer = await service.api.call("POST", "/v1/factors", {"subject": subject, "type": "totp"}, **headers)
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


async def active_app(service: Service, subject: str = SUBJECT, path: str = "verify") -> dict[str, Any]:
    """Returns an active app with its secret."""
    added = await add_app(service, subject)
    pin = value(service, added["totp"]["secret"])
    answer = await service.api.call("POST", f"/v1/factors/{added['id']}/{path}", {"pin": pin})
    assert (answer.status_code, answer.json()["result"]) == (200, "approved")
    return added


async def test_the_secret_of_an_app_is_shown_once(service: Service) -> None:
    added = await add_app(service)
    totp = added.pop("totp")
    assert totp["uri"].startswith("otpauth://totp/")
    assert totp["secret"] in totp["uri"]
    assert totp["qr_svg"].startswith("<svg")
    assert (await service.api.call("GET", f"/v1/factors/{added['id']}")).json() == added
    listed = (await service.api.call("GET", f"/v1/factors?subject={SUBJECT}")).json()
    assert listed == {"factors": [added], "recovery_codes": {"remaining": 0, "created_at": None}}


async def test_a_repeated_key_adds_one_app_and_shows_its_secret_again(service: Service) -> None:
    first = await add_app(service, idempotency_key="k")
    assert await add_app(service, idempotency_key="k") == first


async def test_activate_is_another_name_of_verify(service: Service) -> None:
    added = await active_app(service, path="activate")
    assert (await service.api.call("GET", f"/v1/factors/{added['id']}")).json()["status"] == "active"


async def test_a_phone_has_its_proof_in_the_body_and_that_of_the_challenge_in_the_header(service: Service) -> None:
    await active_app(service)
    body = {"subject": SUBJECT, "type": "sms", "proof": await phone_proof(service, new_number()), "name": "Phone"}
    problem(await service.api.call("POST", "/v1/factors", body), 403, "proof_needed")
    proof = await challenge_proof(service, SUBJECT)
    answer = await service.api.call("POST", "/v1/factors", body, x_proof=proof)
    assert (answer.status_code, answer.json()["status"], answer.json()["name"]) == (201, "active", "Phone")
    assert "totp" not in answer.json()
    problem(await service.api.call("POST", "/v1/factors", body, x_proof=proof), 403, "proof_needed")
    proof = await challenge_proof(service, SUBJECT)
    problem(await service.api.call("POST", "/v1/factors", body, x_proof=proof), 409, "already_redeemed")


async def test_the_last_factor_is_removed_with_a_proof_in_the_body_or_the_header(service: Service) -> None:
    for subject, place in (("a", "body"), ("b", "header")):
        added = await active_app(service, subject)
        path = f"/v1/factors/{added['id']}"
        problem(await service.api.call("DELETE", path), 403, "proof_needed")
        problem(await service.api.call("DELETE", path, x_proof="x"), 403, "proof_needed")
        proof = await challenge_proof(service, subject)
        body, headers = ({"proof": proof}, {}) if place == "body" else (None, {"x_proof": proof})
        assert (await service.api.call("DELETE", path, body, **headers)).status_code == 204
        problem(await service.api.call("GET", path), 404, "not_found")


async def test_a_name_and_the_preference_change(service: Service) -> None:
    added = await active_app(service)
    path = f"/v1/factors/{added['id']}"
    changed = (await service.api.call("POST", path, {"name": "Mine", "preferred": True})).json()
    assert (changed["name"], changed["preferred"]) == ("Mine", True)
    assert (await service.api.call("POST", path, {})).json() == changed


async def test_codes_are_shown_once(service: Service) -> None:
    await active_app(service)
    made = await service.api.call("POST", "/v1/factors/recovery-codes", {"subject": SUBJECT})
    assert (made.status_code, made.json()["remaining"], len(set(made.json()["codes"]))) == (201, 10, 10)
    problem(await service.api.call("POST", "/v1/factors/recovery-codes", {"subject": SUBJECT}), 403, "proof_needed")
    listed = (await service.api.call("GET", f"/v1/factors?subject={SUBJECT}")).json()
    assert listed["recovery_codes"] == {"remaining": 10, "created_at": made.json()["created_at"]}


@pytest.mark.parametrize("subject", ["user-17", "a/b", "ana@example.com", "José %2F", "?x=1&y", "x" * 256])
async def test_a_subject_may_be_any_text(service: Service, subject: str) -> None:
    added = await add_app(service, subject)
    encoded = quote(subject, safe="")
    kept = await service.api.call("GET", f"/v1/subjects/{encoded}")
    assert (kept.status_code, kept.json()["subject"]) == (200, subject)
    assert [factor["id"] for factor in kept.json()["factors"]] == [added["id"]]
    assert (await service.api.call("DELETE", f"/v1/subjects/{encoded}")).status_code == 204
    assert (await service.api.call("GET", f"/v1/factors?subject={encoded}")).json()["factors"] == []


async def test_control_characters_in_the_path_are_refused_as_in_a_body(shared: Service) -> None:
    problem(await shared.api.call("GET", "/v1/subjects/a%0Ab"), 422, "invalid")
    problem(await shared.api.call("DELETE", "/v1/subjects/%1D"), 422, "invalid")


async def test_a_subject_whose_question_mark_is_not_encoded_is_not_taken_for_another(shared: Service) -> None:
    for method in ("GET", "DELETE"):
        assert wrong_fields(await shared.api.call(method, "/v1/subjects/a?b=c")) == ["query"]


@pytest.mark.parametrize(
    "query", ["", "?subject=", "?subject=a&subject=b", "?subject=a&x=1", "?subject=%FF", "?user=a"]
)
async def test_a_query_must_name_the_subject_once_and_nothing_else(shared: Service, query: str) -> None:
    for path in ("/v1/factors", "/v1/devices"):
        problem(await shared.api.call("GET", path + query), 422, "invalid")
    problem(await shared.api.call("DELETE", f"/v1/devices{query}"), 422, "invalid")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "totp"}, "subject"),
        ({"subject": "a", "type": "email"}, "type"),
        ({"subject": "a", "type": "sms"}, "proof"),
        ({"subject": "a", "type": "sms", "proof": "x", "account_name": "a"}, "account_name"),
        ({"subject": "a", "type": "totp", "name": "\u202e"}, "name"),
        ({"subject": "a" * 257, "type": "totp"}, "subject"),
        ({"subject": "a", "type": "totp", "secret": "x"}, "secret"),
    ],
)
async def test_a_wrong_field_is_named(shared: Service, body: dict[str, str], field: str) -> None:
    assert wrong_fields(await shared.api.call("POST", "/v1/factors", body)) == [field]


async def test_another_client_sees_nothing_of_a_subject(service: Service) -> None:
    added, other = await active_app(service), await service.client("other")
    problem(await other.call("GET", f"/v1/factors/{added['id']}"), 404, "not_found")
    problem(await other.call("DELETE", f"/v1/factors/{added['id']}"), 404, "not_found")
    assert (await other.call("GET", f"/v1/factors?subject={SUBJECT}")).json()["factors"] == []
    problem(await other.call("POST", "/v1/challenges", {"subject": SUBJECT}), 409, "no_factor")
