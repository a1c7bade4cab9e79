"""What `POST /v1/notifications` takes and refuses, and what its answers look like."""

import base64
import itertools
import re
from bisect import bisect_right
from typing import Any

import jsonschema_rs
import pytest

from otp_service import texts
from otp_service.api.kit import openapi
from otp_service.api.operations import OPERATIONS
from otp_service.gateways.base import Message
from otp_service.services.notifications import outbox
from tests.api.support import nothing_counted, problem, wrong_fields
from tests.support.patience import PATIENCE
from tests.support.service import Service, new_number, serving
from tests.support.vendor import Vendor

PATH = "/v1/notifications"
CONFIG = {"notifications": {"templates": {"order_sent": {"en": "Hi {name}, order {order} is on its way."}}}}
LONGEST_URL = 8000
DOCUMENT = openapi.document(OPERATIONS)


async def post(service: Service, **fields: Any) -> Any:
    return await service.api.call("POST", PATH, {"to": new_number(), **fields})


@pytest.fixture
async def service(migrated: str, vendor: Vendor) -> Any:
    async with serving(migrated, vendor, CONFIG) as running:
        yield running


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "text"),
        ({"text": "Hello", "template": "order_sent"}, "template"),
        ({"text": "Hello", "values": {}}, "values"),
        ({"text": ""}, "text"),
        ({"text": " \n "}, "text"),
        ({"text": 7}, "text"),
        ({"text": "a\rb"}, "text"),
        ({"text": "a\u202eb"}, "text"),
        ({"text": "Hello\n@evil.example #123456"}, "text"),
        ({"text": "Hello\n \t@evil.example #123456"}, "text"),
        ({"template": "unknown"}, "template"),
        ({"template": "Order_Sent"}, "template"),
        ({"template": "order_sent"}, "values"),
        ({"template": "order_sent", "values": {"name": "Ana"}}, "values"),
        ({"template": "order_sent", "values": {"name": "Ana", "order": "1", "more": "2"}}, "values"),
        ({"template": "order_sent", "values": {"name": "Ana", "order": 1}}, "values"),
        ({"template": "order_sent", "values": {"name": "Ana", "order": ""}}, "values"),
        ({"template": "order_sent", "values": {"name": "Ana", "order": "1\n2"}}, "values"),
        ({"template": "order_sent", "values": {"name": "Ana", "order": "x" * 257}}, "values"),
        ({"template": "order_sent", "values": [], "locale": "es"}, "values"),
        ({"text": "Hello", "locale": "e"}, "locale"),
        ({"text": "Hello", "carrier": "a/b"}, "carrier"),
        ({"text": "Hello", "reference": "a\nb"}, "reference"),
        ({"text": "Hello", "purpose": "signup"}, "purpose"),
    ],
    ids=itertools.count(),
)
async def test_a_wrong_field_is_named_and_nothing_is_queued(
    service: Service, fields: dict[str, Any], wrong: str
) -> None:
    async with nothing_counted(service):
        assert wrong_fields(await post(service, **fields)) == [wrong]


async def test_a_refusal_says_what_there_is(service: Service) -> None:
    unknown = (await post(service, template="order")).json()
    assert unknown["errors"][0]["detail"] == "Must be one of: order_sent."
    missing = (await post(service, template="order_sent", values={"name": "Ana"})).json()
    assert missing["errors"][0]["detail"] == "Must have exactly these keys: name, order."
    long = (await post(service, text="x" * (153 * 10 + 1))).json()
    assert long["errors"][0]["detail"] == "The text takes 11 SMS; at most 10 are sent."


async def test_crlf_in_a_text_is_sent_as_lf(service: Service) -> None:
    assert (await post(service, to=(to := new_number()), text="Hello\r\nYour order\n\r\nBye")).status_code == 202
    await outbox.work(service.ctx)
    assert [message["text"] for message in service.vendor.messages(to)] == ["Hello\nYour order\n\nBye"]


@pytest.mark.parametrize("values", [{"name": "@evil #1"}, {"name": "a\n@evil #1"}, {"name": "a", "order": "b" * 200}])
async def test_a_value_can_break_out_of_nothing(migrated: str, vendor: Vendor, values: dict[str, str]) -> None:
    templates = {"first": {"en": "{name}: hi"}, "last": {"en": "For {name}\n" + "{order} " * 8}}
    template = "last" if "order" in values else "first"
    config = {"notifications": {"templates": templates}}
    async with serving(migrated, vendor, config) as service, nothing_counted(service):
        assert wrong_fields(await post(service, template=template, values=values)) == ["values"]


async def test_numbers_and_countries_are_checked_as_in_a_start(migrated: str, vendor: Vendor) -> None:
    async with serving(migrated, vendor, countries="US") as service, nothing_counted(service):
        problem(await post(service, text="Hello"), 403, "country_not_allowed")
        problem(await post(service, text="Hello", to="+5716012345"), 422, "invalid_number")
        problem(await post(service, text="Hello", to="3001234567"), 422, "invalid_number")


async def test_only_its_own_client_sees_a_notification(service: Service) -> None:
    queued = (await post(service, text="Hello", to=(to := new_number()))).json()
    assert re.fullmatch(r"ntf_[A-Za-z0-9_-]{22}", queued["id"])
    mine = await service.api.call("GET", f"{PATH}/{queued['id']}")
    assert mine.json() == queued | {"to": to}
    other = await service.client("other")
    problem(await other.call("GET", f"{PATH}/{queued['id']}"), 404, "not_found")
    for unknown in ("ntf_0123456789012345678901", "ver_0123456789012345678901", "x", "ntf_%2e%2e"):
        problem(await service.api.call("GET", f"{PATH}/{unknown}"), 404, "not_found")


async def test_without_a_key_nothing_is_said(service: Service) -> None:
    for method, path in (("POST", PATH), ("GET", f"{PATH}/ntf_0123456789012345678901")):
        problem(await service.http.request(method, path), 401, "unauthorized")


async def test_answers_have_the_shape_that_is_described(service: Service) -> None:
    schema = {"$ref": "#/components/schemas/NotificationAnswer", "components": DOCUMENT["components"]}
    queued = (await post(service, text="Hello", reference="r")).json()
    jsonschema_rs.validate(schema, queued, validate_formats=True)
    await outbox.work(service.ctx)
    sent = (await service.api.call("GET", f"{PATH}/{queued['id']}")).json()
    assert sent["status"] == "sent"
    jsonschema_rs.validate(schema, sent, validate_formats=True)


def longest(char: str) -> str:
    """The longest text of one character that may be sent."""
    return char * bisect_right(range(1, 2000), 10, key=lambda size: texts.segments(char * size))


@pytest.mark.parametrize("char", ["x", "é", "Ω", "€", "中", "\N{GRINNING FACE}"], ids=ascii)
@pytest.mark.parametrize("route", ["send_sms", "send_mt"])
async def test_no_text_makes_an_address_that_is_too_long_for_servers_on_the_way(
    service: Service, route: str, char: str
) -> None:
    text = longest(char)
    assert (await post(service, text=text)).json()["segments"] == 10
    assert (await post(service, text=text + char)).status_code == 422
    sent = await getattr(service.ctx.gateway, route)(Message(new_number(), text, "x" * 64), PATIENCE)
    assert sent.outcome == "accepted"
    assert len(base64.b64encode(text.encode())) < LONGEST_URL - 1000, "which leaves enough for all the rest"
