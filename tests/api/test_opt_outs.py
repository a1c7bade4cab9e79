"""The calls under /v1/opt-outs: bodies, numbers, and `Idempotency-Key`."""

from typing import Any

import pytest

from tests.support.people import begin, opt_out, source_of, texts
from tests.support.service import Service, new_number

CALLS = ("/v1/opt-outs", "/v1/opt-outs/lookup", "/v1/opt-outs/remove")


@pytest.mark.parametrize("path", CALLS)
async def test_the_shape_is_that_of_the_documents(service: Service, path: str) -> None:
    to = new_number()
    answer = (await service.api.call("POST", path, {"to": to})).json()
    shape = ["to", "opted_out", "source", "since"] + (["gateway_blacklisted"] if "lookup" in path else [])
    assert list(answer) == shape
    assert answer["to"] == to


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "invalid", "to"),
        ({"to": None}, "invalid", "to"),
        ({"to": ["+573001234567"]}, "invalid", "to"),
        ({"to": "+573001234567", "source": "user"}, "invalid", "source"),
        ({"to": "573001234567"}, "invalid_number", "to"),
        ({"to": "+576011234567"}, "invalid_number", "to"),
        ({"to": "+57300123456\u0661"}, "invalid_number", "to"),
    ],
    ids=["nothing", "null", "list", "more", "no-plus", "landline", "other-digits"],
)
async def test_what_is_no_number_is_refused_and_the_field_named(
    service: Service, path: str, body: Any, code: str, field: str
) -> None:
    refused = await service.api.call("POST", path, body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert [wrong["field"] for wrong in refused.json()["errors"]] == [field]


async def test_a_number_of_a_country_that_is_not_served_can_opt_out(service: Service) -> None:
    assert (await opt_out(service.api, "add", "+447400123456"))["opted_out"] is True


async def test_a_repeated_request_with_its_key_gets_the_saved_answer_and_changes_nothing(service: Service) -> None:
    body = {"to": new_number()}
    first = await service.api.call("POST", "/v1/opt-outs", body, idempotency_key="k1")
    await opt_out(service.api, "remove", body["to"])
    service.shift(60)
    again = await service.api.call("POST", "/v1/opt-outs", body, idempotency_key="k1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert await source_of(service, body["to"]) is None
    for path in CALLS[1:]:
        answers = [await service.api.call("POST", path, body, idempotency_key=path) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
    other = await service.api.call("POST", "/v1/opt-outs", {"to": new_number()}, idempotency_key="k1")
    assert other.json()["code"] == "idempotency_mismatch"


async def test_a_refused_removal_can_be_repeated_with_its_key(service: Service) -> None:
    await begin(service)
    to = new_number()
    await texts(service, to, "STOP")
    for _ in range(2):
        refused = await service.api.call("POST", "/v1/opt-outs/remove", {"to": to}, idempotency_key="k")
        assert (refused.status_code, refused.json()["code"]) == (409, "user_opted_out")
    await texts(service, to, "START")
    lifted = await service.api.call("POST", "/v1/opt-outs/remove", {"to": to}, idempotency_key="k")
    assert lifted.status_code == 200
