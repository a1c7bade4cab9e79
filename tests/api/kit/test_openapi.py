"""The OpenAPI document says everything that the calls do, and /docs shows it without help from elsewhere."""

import base64
import hashlib
import inspect
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

import otp_service
from otp_service.api.events import EVENTS
from otp_service.api.kit import openapi, problems
from otp_service.api.operations import ALIASES, CALLBACKS, OPERATIONS, TWILIO
from otp_service.api.routes import ROUTES
from tests.support.service import Service

DOCUMENT = openapi.document(OPERATIONS, events=EVENTS)
PACKAGE = Path(otp_service.__file__).parent
CALLS = [(path, method, call) for path, methods in DOCUMENT["paths"].items() for method, call in methods.items()]
VOID = {"meta", "link", "br", "hr", "img", "input"}


def refusals() -> dict[str, list[str]]:
    """Every code that is raised, and the files that raise it."""
    found: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for code in re.findall(r'Refusal\(\s*"([a-z_]+)"', path.read_text()):
            found.setdefault(code, []).append(path.name)
    return found


def test_the_document_is_openapi_3_1() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


async def test_it_is_served_with_the_address_of_the_service(shared: Service) -> None:
    answer = await shared.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT | {"servers": [{"url": "http://service"}]}


def test_every_route_is_described_and_every_described_call_is_a_route() -> None:
    described = {(path, method.upper()) for path, method, _ in CALLS}
    home, *others = ROUTES
    assert home.path == "/"
    all_calls = OPERATIONS + ALIASES + TWILIO + CALLBACKS
    paths = [route.path.replace(":path", "") for route in others]
    served = {(path, each.method) for path, each in zip(paths, all_calls, strict=True)}
    assert described == served - {(each.path, each.method) for each in ALIASES + TWILIO + CALLBACKS}


def test_every_call_has_a_name_of_its_own_and_says_what_it_does() -> None:
    assert len({call["operationId"] for _, _, call in CALLS}) == len(CALLS)
    assert all(call["summary"] for _, _, call in CALLS)


def test_every_code_that_is_raised_has_a_status_and_every_status_is_raised() -> None:
    of_starlette = {"method_not_allowed"}
    assert set(refusals()) | of_starlette == set(problems.STATUS)


def test_every_code_is_documented_at_a_call_but_those_of_any_server() -> None:
    documented = {
        code
        for _, _, call in CALLS
        for answer in call["responses"].values()
        for code in re.findall("`([a-z_]+)`", answer["description"])
    }
    assert documented == set(problems.STATUS) - {"method_not_allowed", "internal"}


def test_what_a_handlers_services_may_refuse_is_documented_at_its_call() -> None:
    for path, method, call in CALLS:
        (operation,) = [each for each in OPERATIONS if (each.path, each.method.lower()) == (path, method)]
        promised = {code for text in _docstrings(operation.handler) for code in _promised(text)}
        described = " ".join(answer["description"] for answer in call["responses"].values())
        assert promised <= set(re.findall("`([a-z_]+)`", described)), f"{method} {path}"


def _docstrings(handler: Any) -> list[str]:
    """Of the functions that a handler calls, as far as its source names them."""
    called = re.findall(r"\b([a-z]+)\.([a-z_]+)\(", inspect.getsource(handler))
    modules = [getattr(inspect.getmodule(handler), module, None) for module, _ in called]
    functions = [getattr(module, name, None) for module, (_, name) in zip(modules, called, strict=True)]
    return [inspect.getdoc(function) or "" for function in functions if inspect.isfunction(function)]


def _promised(docstring: str) -> list[str]:
    return [code for code in re.findall("`([a-z_]+)`", docstring) if code in problems.STATUS]


def test_calls_with_a_key_say_so_and_those_that_send_take_an_idempotency_key() -> None:
    for path, method, call in CALLS:
        assert (call.get("security") == []) == (not path.startswith("/v1/")), path
        names = {each["name"] for each in call["parameters"]}
        assert ("Idempotency-Key" in names) == (method == "post"), path
        assert ("id" in names) == ("{id}" in path), path


def test_every_answer_of_a_problem_is_a_problem() -> None:
    for _, _, call in CALLS:
        for status, answer in call["responses"].items():
            if int(status) >= 400 and "application/json" not in answer["content"]:
                assert [*answer["content"]] == ["application/problem+json"]


async def test_answers_have_the_shape_that_is_described(shared: Service) -> None:
    def check(name: str, value: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
        jsonschema_rs.validate(schema, value, validate_formats=True)

    started = await shared.api.start()
    check("VerificationAnswer", started)
    pin = shared.pin(started["to"])
    check("CheckAnswer", (await shared.api.try_check(started["id"], pin)).json())
    check("EventsAnswer", {"events": await shared.api.events(started["id"])})
    check("Problem", (await shared.api.resend(started["id"])).json())
    check("Problem", (await shared.api.try_check(started["id"], "x")).json())
    for path, name in (("/livez", "Alive"), ("/readyz", "Ready"), ("/.well-known/jwks.json", "Keys")):
        check(f"{name}Answer", (await shared.http.get(path)).json())


class Page(HTMLParser):
    """Reads a page and notes what does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.text = ""
        self.style = ""
        self.script = ""
        self.code: list[str] = []
        self.preformatted: list[str] = []
        self.boxed: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "table":
            self.boxed.append(self.open[-1] == "div")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        elif self.open and self.open[-1] == "script":
            self.script += data
        else:
            self.text += data
        if self.open and self.open[-1] in {"code", "pre"}:
            (self.code if self.open[-1] == "code" else self.preformatted).append(data)


@pytest.fixture
async def page(shared: Service) -> Page:
    """/docs, read."""
    answer = await shared.http.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    read = Page()
    read.feed(answer.text)
    read.close()
    return read


async def test_the_page_is_well_formed_and_every_link_leads_somewhere(page: Page) -> None:
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    for name, value in page.attributes:
        if name == "href":
            assert value == "/openapi.json" or value.removeprefix("#") in page.ids


async def test_the_page_shows_every_call(page: Page) -> None:
    for path, method, call in CALLS:
        assert f"{method.upper()} {path}" in page.text
        assert call["summary"].replace("`", "") in page.text
    assert "`" not in page.text


async def test_the_page_shows_every_field_of_every_shape(page: Page) -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert name in page.ids
        assert {*schema.get("properties", {}), *schema.get("enum", [])} <= set(page.code)
    assert all(page.boxed)  # each in a box that scrolls


async def test_the_commands_of_the_page_work(page: Page, shared: Service) -> None:
    commands = [shlex.split(text) for text in page.preformatted if text.startswith("curl")]
    assert len(commands) == len(CALLS)
    ((body, key),) = [
        (json.loads(words[words.index("-d") + 1]), words[words.index("-H") + 1])
        for words in commands
        if words[2] == "http://service/v1/verifications"
    ]
    assert key == "Authorization: Bearer $OTP_SERVICE_KEY"
    assert (await shared.api.try_start(**body)).status_code in (200, 201)
    (revoke_all,) = [words for words in commands if "http://service/v1/devices?subject=user-17" in words[4:]]
    assert revoke_all[:4] == ["curl", "-s", "-X", "DELETE"]
    (remove,) = [words for words in commands if "DELETE" in words and "/v1/factors/" in words[4]]
    assert "-d" not in remove  # the body is optional


async def test_the_page_runs_only_its_own_script_and_loads_nothing(page: Page, shared: Service) -> None:
    assert page.tags.isdisjoint({"link", "img", "iframe", "object", "embed", "form", "base", "svg"})
    assert not any(name.startswith("on") or name in {"src", "style", "srcset"} for name, _ in page.attributes)
    assert not re.search(r"url\(|@import|https?:", page.style)
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert (await shared.http.get("/docs")).headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        f"script-src 'sha256-{base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
