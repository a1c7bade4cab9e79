"""The OpenAPI document has what generators of clients and of documentation need."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest

import otp_service
from otp_service.api.events import EVENTS, NumberEventAnswer
from otp_service.api.kit import openapi, problems
from otp_service.api.operations import OPERATIONS
from otp_service.errors import ErrorCode
from tests.support.service import Service, serving
from tests.support.vendor import Vendor

DOCUMENT = openapi.document(OPERATIONS, events=EVENTS)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
CALLS = [call for methods in DOCUMENT["paths"].values() for call in methods.values()]
PACKAGE = Path(otp_service.__file__).parent


def nodes(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a JSON value, with the path to it."""
    if isinstance(value, dict):
        yield place, value
        for name, each in value.items():
            yield from nodes(each, f"{place}/{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from nodes(each, f"{place}/{index}")


def test_every_field_of_every_body_and_answer_has_a_description() -> None:
    schemas = SCHEMAS | {"NumberEventAnswer": NumberEventAnswer.model_json_schema()}
    missing = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    assert not missing, f"add Field(description=...) to {', '.join(missing)}"


def test_every_shape_has_a_description() -> None:
    missing = [name for name, schema in SCHEMAS.items() if "properties" in schema and not schema.get("description")]
    assert not missing, f"add a docstring to {', '.join(missing)}"


def test_every_enum_has_a_name_and_is_listed_once() -> None:
    listed = {place: each["enum"] for place, each in nodes(SCHEMAS) if "enum" in each and "example" not in place}
    unnamed = [place for place in listed if place.count("/") != 1]
    assert not unnamed, f"declare the values with TypeAliasType: {', '.join(unnamed)}"
    assert {"/VerificationStatus", "/CheckResult", "/ErrorCode"} <= set(listed)


def test_every_error_code_is_listed() -> None:
    assert set(SCHEMAS["ErrorCode"]["enum"]) == set(get_args(ErrorCode.__value__)) == set(problems.STATUS)


def test_every_call_has_one_of_the_documents_tags() -> None:
    tags = [tag["name"] for tag in DOCUMENT["tags"]]
    assert all(tag["description"] for tag in DOCUMENT["tags"])
    untagged = [call["operationId"] for call in CALLS if len(call["tags"]) != 1 or call["tags"][0] not in tags]
    assert not untagged, f"add the noun of {', '.join(untagged)} to openapi.TAGS"
    assert {tag for call in CALLS for tag in call["tags"]} == set(tags)


def test_a_pin_is_a_plain_string() -> None:
    assert "password" not in [each.get("format") for _, each in nodes(DOCUMENT)]
    assert SCHEMAS["CheckBody"]["properties"]["pin"]["type"] == "string"


def test_no_schema_of_an_object_is_a_choice_of_several() -> None:
    assert not [name for name, schema in SCHEMAS.items() if schema.keys() & {"anyOf", "oneOf", "allOf"}]


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every call with a JSON body or answer: its name, the schema and an example, if it has one."""
    for call in CALLS:
        contents = [("body", call["requestBody"]["content"])] if "requestBody" in call else []
        contents += [(status, answer.get("content", {})) for status, answer in call["responses"].items()]
        for part, content in contents:
            for media_type, described in content.items():
                if "json" not in media_type:
                    continue
                named = described.get("examples", {"": {"value": described.get("example")}})
                for name, each in named.items():
                    yield f"{call['operationId']} {part} {name}".strip(), described["schema"], each["value"]


def test_every_json_body_and_answer_has_an_example_that_fits_its_schema() -> None:
    for name, schema, value in examples():
        assert value, f"{name}: add examples to the model"
        whole = schema | {"components": DOCUMENT["components"]}
        wrong = [f"{error.instance_path}: {error.message}" for error in jsonschema_rs.iter_errors(whole, value)]
        assert not wrong, f"{name}: add examples to {schema['$ref'].rpartition('/')[2]} or its fields: {wrong}"


def test_every_error_of_a_call_has_an_example_with_its_status_and_code() -> None:
    for call in CALLS:
        for status, answer in call["responses"].items():
            described = answer.get("content", {}).get("application/problem+json")
            if described is not None:
                values = {name: each["value"] for name, each in described["examples"].items()}
                assert {name: (each["code"], each["status"]) for name, each in values.items()} == {
                    code: (code, int(status)) for code in re.findall("`([a-z_]+)`", answer["description"])
                }


def said() -> re.Pattern[str]:
    """Matches every text that the code contains, also with values in it."""
    texts = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name == "examples.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(re.escape(node.value))
            elif isinstance(node, ast.JoinedStr):
                texts.add("".join(_piece(piece) for piece in node.values))
    return re.compile("|".join(sorted(text for text in texts if " " in text)))


def _piece(piece: ast.expr) -> str:
    return re.escape(str(piece.value)) if isinstance(piece, ast.Constant) else ".+"


def test_the_details_of_examples_are_those_of_the_code() -> None:
    details = {value["detail"] for _, schema, value in examples() if schema["$ref"].endswith("/Problem")}
    texts = said()
    assert not [detail for detail in details if not texts.fullmatch(detail)]


def example(operation_id: str, status: int) -> Any:
    """The example of an answer."""
    (call,) = [call for call in CALLS if call["operationId"] == operation_id]
    return call["responses"][str(status)]["content"]["application/json"]["example"]


def body(operation_id: str) -> Any:
    """The example of a body."""
    (call,) = [call for call in CALLS if call["operationId"] == operation_id]
    return call["requestBody"]["content"]["application/json"]["example"]


MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def shape(value: Any) -> Any:
    """A value with ids, times and proofs replaced by their form."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    if isinstance(value, str) and MOMENT.fullmatch(value):
        return "time"
    if isinstance(value, str) and re.fullmatch("(ver|ntf|whk)_[A-Za-z0-9_-]{22}", value):
        return value[:3]
    if isinstance(value, str) and value.startswith(("eyJ", "whsec_")):
        return value[:3]
    return value


async def test_the_examples_of_answers_are_what_the_calls_return(sqlite_url: str, vendor: Vendor) -> None:
    config = {"limits": {"pause_per_number": 0}, "purposes": {"signup": {"resend_after": [0, 90]}}}
    async with serving(sqlite_url, vendor, config) as service:

        async def same(operation_id: str, path: str, status: int, sent: Any = None) -> Any:
            method = "POST" if sent is not None else "GET"
            answer = await service.api.call(method, path, sent)
            assert answer.status_code == status, answer.text
            assert shape(answer.json()) == shape(example(operation_id, status)), operation_id
            return answer.json()

        start = body("verifications.create")
        started = await same("verifications.create", "/v1/verifications", 201, start)
        await same("verifications.create", "/v1/verifications", 200, start)
        path = f"/v1/verifications/{started['id']}"
        await same("verifications.read", path, 200)
        await same("search.find", "/v1/verifications/search", 200, body("search.find"))
        pin = service.pin(started["to"])
        checked = await same("verifications.check", f"{path}/checks", 200, body("verifications.check") | {"pin": pin})
        redeem = body("proofs.redeem") | {"proof": checked["proof"]}
        await same("proofs.redeem", "/v1/proofs/redeem", 200, redeem)
        again = await service.api.start(**start)
        path = f"/v1/verifications/{again['id']}"
        await same("verifications.resend", f"{path}/resends", 200, {})
        canceled = await service.api.start(**start | {"session": "s-2"})
        await same("verifications.cancel", f"/v1/verifications/{canceled['id']}/cancel", 200, {})
        await same("notifications.create", "/v1/notifications", 202, body("notifications.create"))
        await same("opt_outs.add", "/v1/opt-outs", 200, body("opt_outs.add"))
        await same("opt_outs.look_up", "/v1/opt-outs/lookup", 200, body("opt_outs.look_up"))
        await same("opt_outs.remove", "/v1/opt-outs/remove", 200, body("opt_outs.remove"))
        await same("public.livez", "/livez", 200)


async def test_the_other_examples_have_the_fields_that_the_calls_return(sqlite_url: str, vendor: Vendor) -> None:
    async with serving(sqlite_url, vendor, webhook_networks="127.0.0.0/8") as service:

        async def same(operation_id: str, path: str, status: int, sent: Any = None) -> Any:
            answer = await service.api.call("POST" if sent is not None else "GET", path, sent)
            assert answer.status_code == status, answer.text
            assert fields(answer.json()) == fields(example(operation_id, status)), operation_id
            return answer.json()

        verification = await service.api.start()
        await same("verifications.events", f"/v1/verifications/{verification['id']}/events", 200)
        notification = await service.api.call("POST", "/v1/notifications", body("notifications.create"))
        await same("notifications.read", f"/v1/notifications/{notification.json()['id']}", 200)
        hook = body("webhooks.create") | {"url": "http://127.0.0.1:9009/"}
        path = f"/v1/webhooks/{(await same('webhooks.create', '/v1/webhooks', 201, hook))['id']}"
        await same("webhooks.list_all", "/v1/webhooks", 200)
        await same("webhooks.read", path, 200)
        await same("webhooks.test", f"{path}/test", 200, {})
        await same("webhooks.replace_secret", f"{path}/secret", 200, {})
        await same("public.readyz", "/readyz", 200)
        await same("proofs.jwks", "/.well-known/jwks.json", 200)


def fields(value: Any) -> Any:
    """The names of the fields, also of the first element of each list."""
    if isinstance(value, dict):
        return {name: fields(each) for name, each in value.items()}
    return [fields(value[0])] if isinstance(value, list) and value else None


@pytest.mark.parametrize("host", ["otp.example.com", "127.0.0.1:8000", "[::1]:8000"])
async def test_the_server_is_the_address_that_the_request_was_sent_to(host: str, shared: Service) -> None:
    document = (await shared.http.get("/openapi.json", headers={"Host": host})).json()
    assert document["servers"] == [{"url": f"http://{host}"}]


@pytest.mark.parametrize("host", ["a b", "x/y", "user@host", 'a"><script>', "", "h:999999"])
async def test_a_malformed_host_is_not_repeated(host: str, shared: Service) -> None:
    document = (await shared.http.get("/openapi.json", headers={"Host": host})).json()
    assert document["servers"] == [{"url": "http://127.0.0.1:8000"}]


async def test_the_server_is_the_public_url_if_it_is_set(sqlite_url: str, vendor: Vendor) -> None:
    async with serving(sqlite_url, vendor, public_url="https://otp.example.com/") as service:
        assert (await service.http.get("/openapi.json")).json()["servers"] == [{"url": "https://otp.example.com"}]
